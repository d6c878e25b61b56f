# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rollout storage: every decision is served once per pass."""

import pytest
import torch
from tensordict import TensorDict

from flow_rl.storage.rollout import RolloutStorage

T, E = 3, 4


@pytest.fixture
def storage() -> RolloutStorage:
    obs = TensorDict({"policy": torch.zeros(E, 2)}, batch_size=[E])
    storage = RolloutStorage(obs, T, {"chain": (5, 6), "log_prob": ()}, "cpu")
    with torch.inference_mode():
        for step in range(T):
            mark = torch.arange(E) + 10.0 * step
            obs = TensorDict({"policy": mark.unsqueeze(-1).expand(E, 2)}, batch_size=[E])
            storage.record(obs=obs, log_prob=mark, chain=mark.view(E, 1, 1).expand(E, 5, 6))
            storage.record(reward=mark, terminated=mark > 20)
            storage.advance()
    return storage


def test_mini_batches_partition_the_rollout(storage):
    """A pass serves every decision exactly once, with its own observation and chain."""
    batches = list(storage.mini_batches(3))
    assert len(batches) == 3
    marks = torch.cat([batch["reward"] for batch in batches])
    assert sorted(marks.tolist()) == sorted(e + 10.0 * t for t in range(T) for e in range(E))
    for batch in batches:
        torch.testing.assert_close(batch["obs", "policy"][:, 0], batch["reward"])
        torch.testing.assert_close(batch["chain"][:, 4, 5], batch["reward"])


def test_buffers_filled_in_inference_mode_can_be_learnt_from(storage):
    """Collection runs under inference mode; what it leaves must enter a graph."""
    weight = torch.ones((), requires_grad=True)
    (next(storage.mini_batches(1))["reward"] * weight).sum().backward()
    assert weight.grad is not None


def test_overflow(storage):
    """A step too many is an error, not a silent overwrite."""
    with pytest.raises(OverflowError, match="the rollout is full"):
        storage.record(reward=torch.zeros(E))


def test_images_take_a_byte_per_colour_and_pixel():
    def size(**groups: torch.Tensor) -> int:
        return RolloutStorage(TensorDict(groups, batch_size=[E]), T, {}, "cpu").num_bytes

    vector, image = torch.zeros(E, 2), torch.zeros(E, 3, 96, 96, dtype=torch.uint8)
    plain = size(policy=vector)
    assert size(policy=vector, front=image) - plain == T * E * 27_648
    assert size(policy=vector, front=image, wrist=image) - plain == T * E * 2 * 96 * 96 * 3
