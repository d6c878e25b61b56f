# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What two ranks exchange."""

from __future__ import annotations

import torch

from flow_rl.models import FlowPolicy  # noqa: F401 - forks find it imported
from flow_rl.ranks import collective
from tests.ranks.forked import on_ranks

VALUES = torch.tensor([3.0, -1.0, 0.5, 10.0, 2.0, 7.0, -4.0, 0.0])
EXISTS = torch.tensor([True, False, False, False, True, True, True, False])


def exchange(rank: int) -> dict:
    """Everything, of a half of the values."""
    own, exists = VALUES.chunk(2)[rank], EXISTS.chunk(2)[rank]
    return {
        "averaged": collective.averaged(own),
        "standardised": collective.standardised(own),
        "mean": (own * exists).sum() / collective.count(exists),
        "rows": collective.count(exists.view(2, 2), dim=-1),
        "nothing": collective.count(exists & False),
        "gathered": collective.gathered(rank),
        "first": collective.from_first(rank),
        "merged": collective.merged(
            {"a": float(rank), "min_b": float(rank), "max_c": float(rank)} | {f"own_{rank}": 5.0}
        ),
    }


def test_two_ranks_do_with_halves_what_one_does_with_all():
    first, second = on_ranks(exchange)
    halves = VALUES.chunk(2)
    for each in (first, second):
        assert torch.equal(each["averaged"], halves[0] / 2 + halves[1] / 2)
        assert each["rows"].tolist() == [[1.5], [0.5]]
        assert each["nothing"] == 0.5, "a sum of nothing, over both ranks, is divided by one"
        assert each["gathered"] == [0, 1] and each["first"] == 0
        assert each["merged"] == {"a": 0.5, "min_b": 0.0, "max_c": 1.0, "own_0": 5.0, "own_1": 5.0}
    both = torch.cat([first["standardised"], second["standardised"]])
    torch.testing.assert_close(both, collective.standardised(VALUES))
    torch.testing.assert_close((first["mean"] + second["mean"]) / 2, VALUES[EXISTS].mean())


def test_one_rank_is_left_alone():
    assert collective.averaged(VALUES) is VALUES
    assert collective.count(EXISTS) == 4 and collective.count(EXISTS & False) == 1
    assert collective.gathered(7) == [7] and collective.from_first(7) == 7
    expected = (VALUES - VALUES.mean()) / (VALUES.std() + 1e-8)
    assert torch.equal(collective.standardised(VALUES), expected)
