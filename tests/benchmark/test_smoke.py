# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The smallest suite, from nothing to a report, with the real commands."""

import json
from pathlib import Path

import pytest

from flow_rl.benchmark.records import read_records
from tests.commands import run_python

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def benchmark(folder, *words):
    words = ("-m", "flow_rl.cli.main", "benchmark", *words, "--records", folder / "records")
    done = run_python(*words, "--output", folder / "made", cwd=folder, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_suite_runs_once_and_reports(tmp_path):
    assert "0 of 2 runs have a record" in benchmark(tmp_path, "smoke", "--device", "cpu", "--jobs", "2")
    records = read_records(tmp_path / "records")
    assert [record["learner"] for record in records] == ["rldt", "score_flow"]
    for record in records:
        assert record["final"]["env_steps"] == 8 * 12 * 4 * 4  # environments, decisions, actions, iterations
        assert record["curve"][0]["env_steps"] == 0 and record["final"]["updates"] > 0
        assert record["base"]["episodes"] == record["final"]["episodes"] == 8
        assert str(tmp_path) not in json.dumps(record)
    again = benchmark(tmp_path, "smoke", "--device", "cpu")
    assert "2 of 2 runs have a record" in again and "seed 0:" not in again
    page = benchmark(tmp_path, "report").rpartition("open ")[2].strip()
    assert "FlowRL-Lift-Franka" in Path(page).read_text()
