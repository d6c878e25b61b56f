# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Training on two ranks as a user types it, and going on with another number of ranks."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from flow_rl.cli import train_foreign
from flow_rl.evaluation.report import read_scalar
from flow_rl.ranks.collective import gathered
from flow_rl.ranks.runner import RESTARTS
from flow_rl.utils.checkpoint import load_checkpoint
from tests.algorithms.test_distributed import OWN, make
from tests.commands import run_python
from tests.ranks.forked import PYTHONPATH, on_ranks

MORTAL = ["--task", "gym:tests.ranks.mortal:FlowRLTestMortal-v0"]
SMALL = ["--agent", "score_flow", "--num_envs", "2", "--device", "cpu", "agent.actor.hidden_dims=[16]"]
SMALL += ["agent.critic.hidden_dims=[16]", "agent.num_steps_per_env=4", "agent.save_interval=1"]
SMALL += ["agent.algorithm.num_mini_batches=1", "agent.algorithm.num_learning_epochs=1"]
SMALL += ["agent.algorithm.from_scratch=true", "agent.algorithm.critic_warmup=0"]


def test_a_run_outlives_one_of_its_two_ranks(tmp_path, monkeypatch, capsys):
    """Killed after its second checkpoint, it goes on from there to its end; then one rank goes on with it."""
    words = [*MORTAL, *SMALL, "--max_iterations", "4", "--seed", "5", "agent.eval_interval=2", "agent.eval_episodes=4"]
    options = ["--nproc_per_node", "2", "--max_restarts", "1"]
    run = run_python(*("-m", "flow_rl.cli.main", "train", *words, *options), cwd=tmp_path, PYTHONPATH=PYTHONPATH)
    assert run.returncode == 0, run.stderr
    (folder,) = tmp_path.glob("logs/rsl_rl/score_flow/*")
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("[flow_rl] restarted")]
    assert line in {f"[flow_rl] restarted: goes on from model_{n}.pt, {3 - n} iterations are left" for n in (1, 2)}
    assert {path.name for path in folder.glob("model_[0-9].pt")} == {f"model_{n}.pt" for n in range(4)}
    last = load_checkpoint(folder / "model_3.pt")["flow_rl"]
    assert (last["iteration"], last["ranks"]) == (4, 2)
    assert read_scalar(folder, "Train/mean_reward")[0][-1] == 3
    assert {path.parent.name for path in folder.rglob("events.out.tfevents.*")} == {folder.name}, "only rank 0 logs"
    assert {path.parent.name for path in folder.rglob("evaluations.jsonl")} == {folder.name}
    seeds = [
        folder.joinpath(name, "params", "agent.yaml").read_text().split("seed: ")[1][0] for name in (".", "rank_1")
    ]
    assert seeds == ["5", "6"]
    monkeypatch.chdir(tmp_path)
    train_foreign.main([*MORTAL, *SMALL, "--max_iterations", "1", "--checkpoint", str(folder / "model_3.pt")])
    assert "was written by 2 ranks and is read by 1: environments begin anew" in capsys.readouterr().out
    (resumed,) = set(tmp_path.glob("logs/rsl_rl/score_flow/*/model_*.pt")) - set(folder.glob("model_*.pt"))
    assert load_checkpoint(resumed)["flow_rl"]["iteration"] == 5


def train_and_log(rank: int, folder: Path) -> list[float]:
    """Three iterations, easy ones on the second rank; returns of this rank's last episodes."""
    runner = make("ppo", 8, folder)
    runner.env.radius = (0.3, 0.95)[rank]
    runner.learn(3)
    return list(runner.logger.rewbuffer)


def test_the_log_tells_of_the_episodes_of_both_ranks(tmp_path):
    first, second = on_ranks(train_and_log, tmp_path)
    assert sum(first) / len(first) < sum(second) / len(second)
    logged = read_scalar(tmp_path, "Train/mean_reward")[1][-1]
    assert logged == pytest.approx(sum(first + second) / len(first + second))
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 1


def test_a_restart_goes_on_to_the_end_that_was_planned(tmp_path, monkeypatch, capsys):
    """Iterations and schedules end where they would have; without a checkpoint, a run begins anew."""
    monkeypatch.setenv(RESTARTS, "1")
    first = make("rldt", 8, tmp_path)
    first.learn(2)
    assert first.alg.iteration == 2 and "restarted" not in capsys.readouterr().out
    second = make("rldt", 8, tmp_path)
    second.learn(4)
    assert "[flow_rl] restarted: goes on from model_1.pt, 2 iterations are left" in capsys.readouterr().out
    assert (second.alg.iteration, second.alg.num_iterations, second.current_learning_iteration) == (4, 4, 3)
    assert {path.name for path in tmp_path.glob("model_*")} == {"model_0.pt", "model_1.pt", "model_3.pt"}


def learn_and_go_on(rank: int, folder: Path) -> tuple[dict, dict, dict]:
    """Two iterations and a checkpoint; one of a runner that has gone on from it, before and after its next."""
    first = make("rldt", 8, folder)
    first.learn(2)
    gathered(rank)  # or a rank would read before the first has written
    second = make("rldt", 8)
    second.load(str(folder / "model_1.pt"))
    second.learn(0)
    before = copy.deepcopy(second.alg.save())
    second.learn(1)
    return first.alg.save(), before, second.alg.save()


def test_each_rank_goes_on_with_its_own_replay_and_random_numbers(tmp_path):
    for rank, (end, before, after) in enumerate(on_ranks(learn_and_go_on, tmp_path)):
        for name in ("replay", "probe", "actor", "critic"):
            for key, value in end[f"{name}_state_dict"].items():
                # trajectories that were being written are dropped: environments begin anew
                assert key == "step" or torch.equal(value, before[f"{name}_state_dict"][key]), (rank, name, key)
        assert after["flow_rl"]["iteration"] == 3
    assert (tmp_path / "rank_1" / "own_model_1.pt").is_file()


def go_on(rank: int, checkpoint: Path) -> dict:
    """One iteration on two ranks from a checkpoint of one."""
    runner = make("rldt", 8)
    runner.load(str(checkpoint))
    began = runner.alg.replay.statistics()["replay_trajectories"].item()
    runner.learn(1)
    return runner.alg.save() | {"began": began}


def test_two_ranks_go_on_from_one(tmp_path, capfd):
    """They share what has been learnt; the second rank's replay begins anew."""
    torch.manual_seed(3)
    alone = make("rldt", 8)
    alone.learn(2)
    alone.save(str(tmp_path / "model_1.pt"))
    first, second = on_ranks(go_on, tmp_path / "model_1.pt")
    assert capfd.readouterr().out.count("was written by 1 rank and is read by 2: environments begin anew") == 1
    assert first["began"] > 0 and second["began"] == 0
    for name in {key for key in first if key.endswith("_state_dict")} - {f"{name}_state_dict" for name in OWN}:
        if name != "optimizer_state_dict":
            assert all(torch.equal(value, second[name][key]) for key, value in first[name].items()), name
    assert first["flow_rl"]["iteration"] == 3 and first["flow_rl"]["ranks"] == 2


@pytest.mark.sim
@pytest.mark.slow
def test_a_task_of_ours_is_trained_on_two_ranks(tmp_path):
    """Through Isaac Lab's own command."""
    words = ["--rl_library", "rsl_rl", "--task", "FlowRL-Lift-Franka", *SMALL, "--max_iterations", "2"]
    words[words.index("score_flow")] = "score_flow_cfg_entry_point"
    run = run_python(
        *("-m", "flow_rl.cli.main", "train", *words, "--nproc_per_node", "2"), cwd=tmp_path, PYTHONPATH=PYTHONPATH
    )
    assert run.returncode == 0, run.stderr
    (folder,) = tmp_path.glob("logs/rsl_rl/score_flow/*")
    assert load_checkpoint(folder / "model_1.pt")["flow_rl"]["ranks"] == 2
    seeds = [folder.joinpath(name, "params", "env.yaml").read_text() for name in (".", "rank_1")]
    assert seeds[0] != seeds[1]
