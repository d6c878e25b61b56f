# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A training that is stopped goes on where it was, as if nothing had been, and its folder shows one run."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from flow_rl.configs import learners
from flow_rl.preemption.runner import PreemptibleRunner
from flow_rl.testing import PointMass
from flow_rl.utils.check import InputError
from flow_rl.utils.checkpoint import load_checkpoint
from tests.algorithms.pendulum import config
from tests.preemption.training import (
    assert_equal_runs,
    before,
    curves,
    evaluations,
    learnt,
    make_runner,
    send,
    train,
)


class Killed(Exception):
    """Stands for SIGKILL: nothing is written any more."""


def die() -> None:
    raise Killed


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("learner", sorted(learners()))
def test_a_run_that_is_stopped_equals_one_that_is_not(learner, tmp_path, capsys):
    """SIGUSR1 in the second of three iterations: it is finished, kept, and the same call goes on behind it."""
    train(tmp_path / "straight", learner, 3)
    with pytest.raises(SystemExit, match="143"):
        train(tmp_path / "stopped", learner, 3, 8, send(signal.SIGUSR1))
    path = tmp_path / "stopped" / "model_1.pt"
    said = f"[flow_rl] SIGUSR1: stopped after 2 iterations, {path} is written; repeat the same command.\n"
    assert capsys.readouterr().out.count(said) == 1
    train(tmp_path / "stopped", learner, 3)
    said = f"[flow_rl] This run goes on after 2 iterations, from {path}; so do the environments.\n"
    assert capsys.readouterr().out.count(said) == 1
    assert_equal_runs(tmp_path / "straight", tmp_path / "stopped", 3)


def test_a_run_that_is_killed_goes_back_to_its_last_checkpoint(tmp_path):
    """In the seventh iteration, three rows and an evaluation behind the checkpoint; nothing of it is there twice."""
    train(tmp_path / "straight", "score_flow", 8)
    with pytest.raises(Killed):
        train(tmp_path / "killed", "score_flow", 8, 38, die)
    assert [row["iteration"] for row in evaluations(tmp_path / "killed")] == [0, 2, 4, 6]
    with (tmp_path / "killed" / "evaluations.jsonl").open("a") as file:
        file.write('{"iteration": 8, "env_')  # the machine died, too
    (tmp_path / "killed" / "model_6.pt.0.partial").touch()
    train(tmp_path / "killed", "score_flow", 8)
    assert list((tmp_path / "killed").glob("*.partial")) == []
    assert_equal_runs(tmp_path / "straight", tmp_path / "killed", 8)


def test_curves_over_seconds_stay(tmp_path):
    """What TensorBoard drops of iterations that are repeated is not what was at as many seconds before them."""
    runner = before(make_runner(tmp_path, "score_flow", 8), 38, die)
    runner.logger.tot_time = 100.0
    with pytest.raises(Killed):
        runner.learn(8)
    train(tmp_path, "score_flow", 8)
    steps = [step for step, _ in curves(tmp_path)["Train/mean_reward/time"]]
    # Rows of repeated iterations are kept beside the new ones where a second holds both.
    assert len(steps) >= len(curves(tmp_path)["Train/mean_reward"]) > 0 and min(steps) >= 100


@pytest.mark.parametrize("learner", ["score_flow", "rldt"])
def test_an_iteration_that_takes_too_long_is_stopped(learner, tmp_path, capsys):
    """Without grace the fifth iteration is left; what was written behind the fourth is kept as it is."""
    with pytest.raises(SystemExit, match="143"):
        train(tmp_path, learner, 8, 26, send(signal.SIGTERM), grace=0.0)
    assert "SIGTERM: stopped after 4 iterations" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "model_3.pt")["flow_rl"]["iteration"] == 4
    train(tmp_path, learner, 8)
    assert [step for step, _ in curves(tmp_path)["Loss/learning_rate"]] == list(range(8))


@pytest.mark.parametrize("learner", ["score_flow", "rldt"])
def test_an_update_that_takes_too_long_is_stopped(learner, tmp_path):
    """Before a step of the optimiser, after one iteration more than the newest checkpoint has; that is kept."""
    runner = make_runner(tmp_path, learner, 8)
    minimize, calls = runner.alg.optimizer.minimize, []

    def signal_within(loss):
        calls.append(1)
        if runner.done == 2 and not runner.preemption.asked:
            os.kill(os.getpid(), signal.SIGTERM)
            calls.clear()
        return minimize(loss)

    runner.alg.optimizer.minimize = signal_within
    runner.cfg["grace"] = 0.0
    with pytest.raises(SystemExit, match="143"):
        runner.learn(8)
    assert calls == [], "no further step was begun"
    assert load_checkpoint(tmp_path / "model_1.pt")["flow_rl"]["iteration"] == 2
    train(tmp_path, learner, 8)
    assert [step for step, _ in curves(tmp_path)["Loss/learning_rate"]] == list(range(8))


def test_a_damaged_checkpoint_is_passed_by(tmp_path, capsys):
    train(tmp_path / "straight", "score_flow", 8)
    with pytest.raises(Killed):
        train(tmp_path / "damaged", "score_flow", 8, 26, die)
    newest = tmp_path / "damaged" / "model_3.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    capsys.readouterr()
    train(tmp_path / "damaged", "score_flow", 8)
    out = capsys.readouterr().out
    assert f"[flow_rl] passed by: --checkpoint {newest} cannot be read" in out and "goes on after 1 iterations" in out
    assert_equal_runs(tmp_path / "straight", tmp_path / "damaged", 8)


def test_a_run_that_never_came_to_a_checkpoint_begins(tmp_path, capsys):
    train(tmp_path / "straight", "score_flow", 4)
    with pytest.raises(SystemExit, match="143"):
        train(tmp_path / "early", "score_flow", 4, 3, send(signal.SIGTERM), grace=0.0)
    assert "SIGTERM: stopped in the first iteration, nothing is written; repeat" in capsys.readouterr().out
    train(tmp_path / "early", "score_flow", 4)
    assert "No checkpoint to go on from" in capsys.readouterr().out
    assert_equal_runs(tmp_path / "straight", tmp_path / "early", 4)


def test_a_run_that_is_complete_stays_as_it_is(tmp_path, capsys):
    """And one that shall be longer goes on."""
    train(tmp_path, "score_flow", 2)
    complete = learnt(tmp_path, 1)
    train(tmp_path, "score_flow", 2)
    assert "This run has all of its 2 iterations: nothing is left to do." in capsys.readouterr().out
    assert all(torch.equal(value, complete[path]) for path, value in learnt(tmp_path, 1).items())
    train(tmp_path, "score_flow", 3)
    assert load_checkpoint(tmp_path / "model_2.pt")["flow_rl"]["iteration"] == 3


def test_what_training_began_with_is_not_loaded_again(tmp_path):
    """The command names the same checkpoint at the first start and at each restart; iterations count on from there."""
    train(tmp_path / "first", "score_flow", 2)
    begin = str(tmp_path / "first" / "model_1.pt")
    runner = before(make_runner(tmp_path / "second", "score_flow", 3), 8, send(signal.SIGTERM))
    runner.load(begin)
    with pytest.raises(SystemExit):
        runner.learn(3)
    again = make_runner(tmp_path / "second", "score_flow", 3)
    again.load(begin)
    assert again.alg.iteration == 4
    again.learn(3)
    assert [step for step, _ in curves(tmp_path / "second")["Loss/learning_rate"]] == [2, 3, 4]
    assert again.alg.num_iterations == again.alg.iteration == 5


def test_environments_without_a_state_begin_anew(tmp_path, capsys, monkeypatch):
    """Which is said, and not with the episodes of the first start."""
    seeds = []
    task = type(PointMass().unwrapped)
    reset = task.reset
    monkeypatch.delattr(task, "load_state_dict")
    monkeypatch.setattr(task, "reset", lambda self, seed=None: seeds.append(seed) or reset(self, seed))
    with pytest.raises(SystemExit):
        train(tmp_path, "rldt", 4, 8, send(signal.SIGTERM), eval_interval=0)
    train(tmp_path, "rldt", 4, eval_interval=0)
    said = "the environments begin anew, because no checkpoint holds their state.\n"
    assert capsys.readouterr().out.count(said) == 1
    assert len(seeds) == 1 and seeds[0] != 42


def test_one_process_trains_in_a_folder(tmp_path):
    runner = make_runner(tmp_path, "score_flow", 2)
    with pytest.raises(InputError, match="--run_name: another process trains in"):
        make_runner(tmp_path, "score_flow", 2)
    runner.learn(2)
    make_runner(tmp_path, "score_flow", 2)


def test_a_folder_of_another_learner_is_refused(tmp_path):
    train(tmp_path, "score_flow", 1)
    with pytest.raises(InputError, match=r"--run_name = .* is not valid.* run of rldt"):
        make_runner(tmp_path, "rldt", 1)


def test_the_best_policy_of_iterations_that_are_lost_is_kept(tmp_path):
    """It was written over the best of before, and whatever comes must beat it."""
    with pytest.raises(Killed):
        train(tmp_path, "score_flow", 8, 38, die)
    best = load_checkpoint(tmp_path / "model_best.pt")
    best["evaluator"]["best"] |= {"iteration": 6, "success": 1.0}
    torch.save(best, tmp_path / "model_best.pt")
    runner = make_runner(tmp_path, "score_flow", 8)
    runner.learn(8)
    assert runner.alg.evaluator.state["best"]["success"] == 1.0
    assert load_checkpoint(tmp_path / "model_best.pt")["evaluator"]["best"]["success"] == 1.0


def test_without_resume_the_next_step_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match="143"):
        train(tmp_path, "score_flow", 4, 8, send(signal.SIGTERM), resume=False)
    assert f"go on with --checkpoint {tmp_path / 'model_1.pt'}.\n" in capsys.readouterr().out


def test_signals_are_given_back(tmp_path):
    former = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    train(tmp_path, "score_flow", 1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == former


def test_others_learners_end_alike(tmp_path, capsys):
    """rsl_rl's own PPO leaves a checkpoint, too, though it does not go on by itself."""
    cfg = config("rsl_rl", 4) | {"num_steps_per_env": 6}
    runner = before(PreemptibleRunner(PointMass(32), cfg, log_dir=str(tmp_path)), 8, send(signal.SIGTERM))
    with pytest.raises(SystemExit, match="143"):
        runner.learn(4)
    path = tmp_path / "model_1.pt"
    assert f"stopped after 2 iterations, {path} is written; go on with --checkpoint {path}." in capsys.readouterr().out
    runner = PreemptibleRunner(PointMass(32), cfg)
    runner.load(str(path))
    assert runner.current_learning_iteration == 1, "as the stock runner counts"
    with pytest.raises(InputError, match="learners that are not flow_rl's"):
        PreemptibleRunner(PointMass(32), cfg | {"resume": True}, log_dir=str(tmp_path))
