# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Evaluation inside training: what it leaves alone, what it keeps, and how a lost policy is found again."""

import json

import pytest
import torch

from flow_rl.configs import learners
from flow_rl.testing import PointMass
from flow_rl.utils.checkpoint import load_checkpoint
from tests.algorithms.conftest import make_cfg

every_learner = pytest.mark.parametrize("learner", sorted(learners()))


def evaluating(make_runner, learner, folder=None, env=None, **settings):
    """A runner that evaluates 32 episodes after every iteration."""
    cfg = make_cfg(learner) | {"eval_interval": 1, "eval_episodes": 32, **settings}
    env = env or PointMass()
    env.unwrapped.cfg.log_dir = folder and str(folder)
    return make_runner(cfg=cfg, env=env, log=folder is not None)


def lines(folder):
    return [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]


@every_learner
def test_results_are_kept_with_the_best_policy(learner, make_runner, tmp_path):
    runner = evaluating(make_runner, learner, tmp_path)
    runner.learn(3)
    found = lines(tmp_path)
    assert [entry["iteration"] for entry in found] == [0, 1, 2, 3]
    assert [entry["env_steps"] for entry in found] == [0, 384, 768, 1152]  # 6 decisions, 32 environments, chunks of 2
    assert all(entry["episodes"] == 32 and entry["ci95"][0] <= entry["success"] <= entry["ci95"][1] for entry in found)
    assert found[0]["seconds"] == 0.0 < found[1]["seconds"] <= found[2]["seconds"]
    assert found[0]["updates"] == 0 < found[1]["updates"]
    best = max(found, key=lambda entry: entry["success"])
    checkpoint = load_checkpoint(tmp_path / "model_best.pt")
    assert checkpoint["flow_rl"]["iteration"] == best["iteration"]
    runner.load(str(tmp_path / "model_best.pt"))
    assert runner.alg.iteration == best["iteration"]


@every_learner
def test_the_same_policy_is_always_measured_alike(learner, make_runner):
    """An evaluation depends on the policy and its seed alone, and leaves training's random numbers as they were."""
    runner = evaluating(make_runner, learner)
    runner.alg.train_mode()
    torch.manual_seed(5)
    first = runner.alg.evaluator.evaluate()
    torch.randn(7)
    second = runner.alg.evaluator.evaluate()
    assert {**first, "eval_seconds": 0} == {**second, "eval_seconds": 0}
    torch.manual_seed(5)
    runner.alg.evaluator.obs = None
    before = torch.get_rng_state()
    with torch.inference_mode():
        runner.alg.evaluator._episodes()
    torch.set_rng_state(before)
    expected = runner.env.unwrapped.reset()[0]["policy"]
    assert torch.equal(runner.alg.evaluator.obs["policy"], expected), "training's resets follow its own numbers"


@every_learner
def test_training_goes_on_from_the_resets(learner, make_runner):
    """The first decision after an evaluation is made upon what the environment shows then, not upon what was before."""
    runner = evaluating(make_runner, learner)
    alg, stale = runner.alg, runner.env.get_observations()
    alg.train_mode()
    seen = []
    get_latent = alg.actor.get_latent
    alg.actor.get_latent = lambda obs: seen.append(obs["policy"].clone()) or get_latent(obs)
    with torch.inference_mode():
        alg.act(stale)
        obs = runner.env.get_observations()
        assert torch.equal(seen[0], obs["policy"]) and not torch.equal(seen[0], stale["policy"])
        other = PointMass().get_observations()
        alg.act(other)
    assert torch.equal(seen[1], other["policy"])


@every_learner
def test_resuming_keeps_the_best(learner, make_runner, tmp_path):
    runner = evaluating(make_runner, learner, tmp_path)
    runner.learn(2)
    runner.save(str(tmp_path / "model_1.pt"))
    best, seconds = runner.alg.evaluator.state["best"], runner.alg.evaluator.state["seconds"]
    again = evaluating(make_runner, learner, tmp_path)
    again.load(str(tmp_path / "model_1.pt"))
    assert again.alg.evaluator.state["best"] == best
    again.learn(1)
    found = lines(tmp_path)
    assert [entry["iteration"] for entry in found] == [0, 1, 2, 3], "the beginning is not measured again"
    assert found[-1]["seconds"] > seconds and found[-1]["updates"] > found[-2]["updates"]


@every_learner
def test_rollback_finds_a_lost_policy_again(learner, make_runner, tmp_path, capsys):
    """A policy that learning destroys is significantly worse twice, and comes back with half the step."""
    runner = evaluating(make_runner, learner, tmp_path, rollback=True, rollback_patience=2)
    alg = runner.alg
    succeed = torch.zeros((), dtype=torch.bool)

    def measured(destroy):
        """Evaluate with every episode a success, or none."""
        succeed.fill_(not destroy)
        return alg.evaluator.evaluate()

    episodes = alg.evaluator._episodes
    alg.evaluator._episodes = lambda: episodes() | {"success": float(succeed)}
    measured(destroy=False)
    kept = {key: value.clone() for key, value in alg.actor.state_dict().items()}
    rate = alg.learning_rate
    with torch.no_grad():
        for parameter in alg.actor.parameters():
            parameter.add_(1.0)
    assert measured(destroy=True)["rollback"] == 0.0, "one evaluation is not enough"
    assert not torch.equal(next(alg.actor.parameters()), next(iter(kept.values())))
    assert measured(destroy=True)["rollback"] == 1.0
    assert all(torch.equal(value, kept[key]) for key, value in alg.actor.state_dict().items())
    alg._apply_schedules()
    assert alg.learning_rate == pytest.approx(0.5 * rate)
    assert "rollback: 0.0% is significantly below 100.0% for 2 evaluations" in capsys.readouterr().out
    # a run that goes on keeps the smaller steps
    runner.save(str(tmp_path / "later.pt"))
    again = evaluating(make_runner, learner, tmp_path, rollback=True)
    again.load(str(tmp_path / "later.pt"))
    again.alg._apply_schedules()
    assert again.alg.learning_rate == pytest.approx(alg.learning_rate) and again.alg.step_scale == 0.5


def test_a_better_policy_is_no_fall(make_runner, capsys):
    runner = evaluating(make_runner, "rldt", rollback=True, rollback_patience=1)
    episodes, counts = runner.alg.evaluator._episodes, iter([20, 16, 17, 25])
    runner.alg.evaluator._episodes = lambda: episodes() | {"success": next(counts) / 32}
    numbers = [runner.alg.evaluator.evaluate() for _ in range(4)]
    assert [each.get("rollback") for each in numbers] == [None, 0.0, 0.0, None]
    assert "rollback" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"eval_interval": -1}, "agent.eval_interval = -1 is not valid. Valid: >= 0"),
        ({"eval_episodes": 0}, "agent.eval_episodes = 0"),
        ({"rollback_patience": 0}, "agent.rollback_patience = 0"),
        ({"eval_interval": 0, "rollback": True}, "agent.rollback = True .* set agent.eval_interval=5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message, make_runner):
    with pytest.raises(ValueError, match=message):
        evaluating(make_runner, "score_flow", **settings)


def test_an_environment_without_success_is_refused(make_runner):
    env = PointMass()
    del env.unwrapped.termination_manager
    with pytest.raises(ValueError, match="agent.eval_interval = 1 is not valid. Valid: 0 for this environment"):
        evaluating(make_runner, "score_flow", env=env)


def test_a_run_that_collapses_comes_back(make_runner, capsys):
    """A policy learns the point mass, then a rate that is far too high destroys it; rollback restores what it was."""
    cfg = make_cfg("score_flow", learning_rate=3.0e-3, final_learning_rate=3.0e-3)
    cfg |= {"eval_interval": 5, "eval_episodes": 64, "rollback": True, "rollback_patience": 2, "max_iterations": 30}
    runner = make_runner(cfg=cfg)
    alg = runner.alg
    runner.learn(25)
    best = alg.evaluator.state["best"]
    assert best["success"] > 0.6, "there is something to lose"
    kept = {key: value.clone() for key, value in alg.evaluator.best_parts["actor"].items()}
    group = alg.optimizer.groups["actor"]
    alg.optimizer.groups["actor"] = group._replace(start=1.0, end=1.0)
    restored = []
    scale_steps = alg.scale_steps
    alg.scale_steps = lambda scale: (
        restored.append({key: value.clone() for key, value in alg.actor.state_dict().items()}) or scale_steps(scale)
    )
    runner.learn(10)
    assert "rollback: " in capsys.readouterr().out
    assert all(torch.equal(value, kept[key]) for key, value in restored[0].items())
    assert alg.step_scale < 1.0
