# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How training speeds up with ranks, with trainings that take as long as a test says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from flow_rl.benchmark import scaling
from flow_rl.cli import benchmark

PENDULUM = "gym:Pendulum-v1"


@pytest.fixture
def trainings(monkeypatch):
    """Commands that are run; ranks collect in a second and update in half of one, after slow first iterations."""
    commands = []

    def run_command(title: str, words: list[str], log: Path, cwd: Path) -> int:
        commands.append(words)
        with SummaryWriter(cwd / "run") as writer:
            for iteration in range(int(words[words.index("--max_iterations") + 1])):
                slow = 100.0 if iteration < scaling.WARM_UP else 1.0
                writer.add_scalar("Perf/collection_time", slow, iteration)
                writer.add_scalar("Perf/learning_time", 0.5 * slow, iteration)
        return 0

    monkeypatch.setattr(scaling, "run_command", run_command)
    return commands


def test_a_record_holds_speed_at_fixed_work_of_each_rank_and_in_all(trainings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "scaling",
        "--task",
        PENDULUM,
        "--num_envs",
        "8",
        "--ranks",
        "1",
        "2",
        "--iterations",
        "3",
        "--device",
        "cpu",
    ]
    benchmark.main([*words, "agent.num_steps_per_env=6", "agent.actor.horizon=2"])
    path = Path("outputs/benchmark/scaling/scaling-gym-Pendulum-v1-score_flow.json")
    record = json.loads(path.read_text())
    speeds = {(row["work"], row["ranks"]): row["steps_per_second"] for row in record["rows"]}
    decisions = 6 * 2 / 1.5  # control steps a second in one environment
    assert speeds == {
        ("per rank", 1): 8 * decisions,
        ("per rank", 2): 16 * decisions,
        ("in all", 1): 8 * decisions,
        ("in all", 2): 8 * decisions,
    }
    assert {row["seconds_per_update"] for row in record["rows"]} == {0.5}
    assert {"commit", "dirty", "versions", "host", "date"} <= set(record)
    assert path.with_suffix(".png").stat().st_size > 10_000
    asked = [(word[word.index("--nproc_per_node") + 1], word[word.index("--num_envs") + 1]) for word in trainings]
    assert asked == [("1", "8"), ("2", "8"), ("2", "4")], "what both kinds of work share is measured once"
    with pytest.raises(SystemExit):
        benchmark.main(words)
    assert "exists already and is left untouched" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ranks", "3"], "--ranks = 3 is not valid. Valid: one or more, which share --num_envs evenly"),
        (["--iterations", "0", "--ranks", "1"], "--iterations = 0 is not valid."),
        (["--agent", "none"], "--agent = 'none' is not valid."),
        (["--seed"], "argument = '--seed' is not valid."),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        benchmark.main(["scaling", "--device", "cpu", *words])
    (line,) = capsys.readouterr().err.splitlines()
    assert refusal.value.code == 2 and line.startswith(f"[flow_rl] error: {message}")
