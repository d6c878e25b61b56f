# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The study of Stein fields on the bandit leaves records like those of a suite."""

import json

import pytest

from flow_rl.benchmark import bandit
from flow_rl.benchmark.records import read_records
from flow_rl.benchmark.tables import modes_table, results_table
from flow_rl.utils.check import InputError

from .conftest import record


def test_variants_have_names_of_their_own():
    names = [variant.name for variant in bandit.variants()]
    assert len(set(names)) == len(names) == 4 * 5
    assert {"rbf_p8_t0", "imq_p32_t0.1", "delta_p4"} <= set(names)


@pytest.mark.slow
def test_what_has_a_record_is_not_repeated(tmp_path, monkeypatch):
    """A short run leaves a whole record; with another number of iterations it is refused and left as it was."""
    monkeypatch.setattr(bandit, "variants", lambda: [bandit.Variant("imq", 16, 0.1)])
    said = []
    for _ in range(2):
        bandit.study(tmp_path, seeds=1, iterations=12, say=said.append)
    assert len(said) == 1 and said[0].startswith("imq_p16_t0.1 seed 0: reward ")
    (found,) = read_records(tmp_path)
    assert [point["iteration"] for point in found["curve"]] == [0, 3, 6, 9, 12]
    assert found["final"]["env_steps"] == 12 * 4 * 64 and 0 < found["final"]["mean_return"] < 1
    assert found["settings"]["kernel"] == "imq" and found["field_ms"] > 0
    assert "| imq_p16_t0.1 | 1 | " in modes_table([found]) and "`bandit`" in results_table([found])
    with pytest.raises(InputError, match=r"--iterations \(of .*\) = 8 is not valid\. Valid: 12"):
        bandit.study(tmp_path, seeds=1, iterations=8, say=said.append)
    assert read_records(tmp_path) == [found]


def test_iterations_are_divided_between_evaluations(tmp_path):
    with pytest.raises(InputError, match="--iterations = 6 is not valid. Valid: a multiple of 4"):
        bandit.study(tmp_path, seeds=1, iterations=6)


def test_modes_are_counted_over_seeds():
    """A policy keeps both modes if the smaller has a fifth of its actions."""
    runs = [record("rbf", seed, [20, 60], task="bandit", suite="bandit") for seed in range(2)]
    for run, left in zip(runs, (0.7, 0.9), strict=True):
        run["final"] = json.loads(json.dumps(run["final"])) | {"left": left, "spread": 0.1}
        run["field_ms"] = 2.0
    (row,) = modes_table(runs).splitlines()[2:]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["rbf", "2"] and cells[2].startswith("0.60 [0.60")
    assert cells[3].startswith("1 of 2, 50.0% [") and cells[4].startswith("20.0% [10.0%, 30.0%]")
    assert cells[5].startswith("0.10 [") and cells[6] == "2.00"
