# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a suite's folder tells of its jobs, whoever runs them."""

import json

import pytest

from flow_rl.benchmark import failures
from flow_rl.benchmark.bases import Base
from flow_rl.benchmark.lease import claimed
from flow_rl.benchmark.status import as_json, states
from flow_rl.cli import benchmark

from .test_harness import TASK, Player, interrupt, make_suite

LOG = """
                       \x1b[1m Learning iteration 6/40 \x1b[0m
                                    ETA: 1:02:03
                       \x1b[1m Learning iteration 7/40 \x1b[0m
                                    ETA: 0:22:43
"""


def told(player):
    return {state.title: state for state in states(player.folder)}


def test_every_state_is_seen_from_the_folder(tmp_path):
    """Done, failed, stopped, running and waiting, in one suite."""
    done, failed = f"{TASK} score_flow seed 0", f"{TASK} rldt seed 0"
    player = Player(make_suite(seeds=[0, 1, 2]), tmp_path, broken=[failed], only=["*seed 0"])
    player.run()
    stopped, running, waiting = player.all_runs[2:5]
    (player.run_folder(player.all_runs[1]) / "train.log").write_text("begun\nRuntimeError: out of memory\n\n")
    interrupt(player, stopped, [1, 3])
    (player.run_folder(stopped) / "train.log").write_text("")
    with claimed(player.run_folder(running)):
        (player.run_folder(running) / "run.json").write_text('{"iterations": 41}')
        (player.run_folder(running) / "train.log").write_text(LOG)
        seen = told(player)
        assert seen[TASK].state == "done" and seen[TASK].result == "20.0%"
        assert (seen[done].state, seen[done].result) == ("done", "40.0%")
        assert (seen[failed].state, seen[failed].detail) == ("failed", "RuntimeError: out of memory")
        assert (seen[stopped.title].state, seen[stopped.title].result) == ("stopped", "99.0%")
        now = seen[running.title]
        assert (now.state, now.iteration, now.iterations, now.left) == ("running", 9, 41, "0:22:43"), "it went on once"
        assert seen[waiting.title].state == "waiting" and len(seen) == 7
        assert [each["state"] for each in json.loads(as_json(player.folder))] == [each.state for each in seen.values()]
    assert told(player)[running.title].state == "stopped"


def test_a_policy_at_work_is_seen(tmp_path):
    player = Player(make_suite(), tmp_path, broken=[f"{TASK} pretrain"])
    assert len(player.run()) == 4
    folder = player.bases.folder(Base(TASK))
    assert told(player)[TASK].state == "failed"
    with claimed(folder):
        (folder / failures.NAME).unlink()
        (folder / "pretrain.log").write_text("step 3\n")
        assert told(player)[TASK].state == "running" and told(player)[TASK].detail.startswith("pretrain, process ")


def test_a_budget_of_seconds_tells_what_is_left(tmp_path):
    player = Player(make_suite(env_steps=None, seconds=4000.0, seeds=[0]), tmp_path)
    player.run()
    with claimed(player.run_folder(player.runs[0])):
        assert told(player)[player.runs[0].title].left == "1:03:20", "of 4,000 s, 200 are over"


def test_the_table_is_printed_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    player = Player(make_suite(), tmp_path)
    player.run()
    benchmark.main(["status", str(player.folder), "--once"])
    out = capsys.readouterr().out
    assert "toy: 5 done" in out and f"{TASK} rldt seed 1" in out and "40.0%" in out
    benchmark.main(["status", str(player.folder)])  # ends by itself when there is nothing to wait for
    capsys.readouterr()
    benchmark.main(["status", str(player.folder), "--json"])
    assert [state["state"] for state in json.loads(capsys.readouterr().out)] == ["done"] * 5


def test_a_folder_without_a_suite_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["status", str(tmp_path)])
    assert "FOLDER = " in capsys.readouterr().err
