# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""`presets=paper` is what the authors run, on top of whatever a task sets."""

import pytest
import torch

from flow_rl.cli.launch import agent_config, find_task
from flow_rl.configs import learners
from flow_rl.testing import PointMass
from flow_rl.testing.learners import pretrained
from tests.algorithms.conftest import make_cfg, make_runner  # noqa: F401 - a fixture


def config(task, learner, *words):
    find_task(task)
    return agent_config(task, learner, learners()[learner], words)


@pytest.mark.parametrize(
    "task, entropy, std, epochs, learns",
    [
        ("FlowRL-Kitchen-Complete-Franka", 0.0, (0.05, 0.12), 10, True),
        ("FlowRL-Kitchen-Mixed-Franka", 0.01, (0.05, 0.12), 10, True),
        ("FlowRL-Can-Franka", 0.01, (0.08, 0.14), 10, False),
        ("FlowRL-Square-Franka-Vision", 0.01, (0.08, 0.14), 10, True),
        ("FlowRL-OneLeg-Low-Franka", 0.03, (0.08, 0.16), 5, True),
    ],
)
def test_score_flow_as_its_authors_run_it(task, entropy, std, epochs, learns):
    """method.md, section 9.1, and the deviations of the released code."""
    algorithm = config(task, "score_flow", "presets=paper").algorithm
    assert algorithm.entropy_coef == entropy
    assert (algorithm.std_min, algorithm.std_max) == std
    assert algorithm.num_learning_epochs == epochs
    assert algorithm.learn_score_coef is learns


def test_reinflow_stays_without_score():
    algorithm = config("FlowRL-Can-Franka", "reinflow", "presets=paper").algorithm
    assert algorithm.score_coef == 0.0 and algorithm.learning_rate == 2.0e-5


@pytest.mark.parametrize("task", ["FlowRL-Lift-Franka", "FlowRL-OneLeg-Med-Franka", "FlowRL-OneLeg-Low-Franka-Vision"])
def test_rldt_as_its_authors_run_it(task):
    """Whatever a task adds to the algorithm, such as a preconditioner, is taken away again."""
    cfg = config(task, "rldt", "presets=paper")
    algorithm = cfg.algorithm
    assert (algorithm.preconditioner, algorithm.exploration, algorithm.bootstrap) == ("none", "min_extrp", "min")
    assert (algorithm.consistency_coef, algorithm.reference_coef, algorithm.reference) == (0.5, 0.2, "iteration")
    assert (algorithm.num_particles, algorithm.temperature, algorithm.kernel) == (8, 0.001, "rbf")
    assert not cfg.critic.dueling and algorithm.num_critic_updates == 512
    assert algorithm.critic_learning_rate == (5.0e-4 if "OneLeg" in task else 1.0e-3)


def test_ours_is_the_default_and_overrides_come_last():
    assert config("FlowRL-OneLeg-Low-Franka", "rldt").algorithm.preconditioner == "covariance"
    words = ("presets=paper", "agent.algorithm.entropy_coef=0.5")
    assert config("FlowRL-Kitchen-Complete-Franka", "score_flow", *words).algorithm.entropy_coef == 0.5


def test_a_policy_of_four_steps_begins_with_one(make_runner):  # noqa: F811
    """Can and Square are fine-tuned with a single step of the flow, whatever they were pretrained for."""
    four = make_runner("score_flow").alg.actor
    assert four.num_flow_steps == 4
    cfg = make_cfg("score_flow", from_scratch=False)
    cfg["actor"]["num_flow_steps"] = 1
    runner = make_runner(cfg=cfg, env=PointMass())
    runner.alg.load(pretrained(four))
    noise = torch.randn(3, 4)
    assert runner.alg.actor.flow(torch.zeros(3, 2), noise).shape[0] == 2
    runner.learn(1)
