# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Records as runs leave them, with curves that are known."""

import pytest


def point(steps, successes, episodes=100):
    share = successes / episodes
    return {
        "iteration": steps // 100,
        "env_steps": steps,
        "updates": steps,
        "seconds": steps / 10,
        "cpu_seconds": steps / 10,
        "success": share,
        "ci95": [max(share - 0.1, 0.0), min(share + 0.1, 1.0)],
        "successes": successes,
        "episodes": episodes,
        "mean_return": share,
        "mean_episode_length": 50.0,
    }


def record(learner, seed, successes, task="FlowRL-Lift-Franka", algorithm=None, suite="toy"):
    curve = [point(1000 * index, each) for index, each in enumerate(successes)]
    return {
        "suite": suite,
        "task": task,
        "learner": learner,
        "algorithm": algorithm or learner,
        "seed": seed,
        "preset": "ours",
        "base": {"digest": "0", "success": 0.2, "ci95": [0.15, 0.25], "episodes": 100},
        "curve": curve,
        "final": curve[-1],
        "best": max(curve, key=lambda each: each["success"]),
        "host": {"cpu": "a processor", "cores": 2, "load": 1.0, "gpu": None},
        "commit": "0123456789abcdef",
        "dirty": False,
        "date": "2026-11-29",
        "commands": {"train": "flow-rl train"},
    }


def returns(learner, seed, means):
    """A record of an environment that knows no success."""
    made = record(learner, seed, [0] * len(means), task="gym:Hopper-v5", suite="gym")
    unknown = {"success": None, "ci95": None, "successes": None, "return_std": 100.0}
    for each, mean in zip(made["curve"], means, strict=True):
        each |= unknown | {"mean_return": mean, "return_ci95": [mean - 20.0, mean + 20.0]}
    base = {"success": None, "ci95": None, "mean_return": 1000.0, "return_ci95": [980.0, 1020.0]}
    return made | {"base": made["base"] | base}


@pytest.fixture
def records():
    """Two learners, two seeds: one keeps what it gains, the other loses half of it."""
    return [
        record("rldt", 0, [20, 90, 40]),
        record("rldt", 1, [20, 80, 60]),
        record("score_flow", 0, [20, 50, 70]),
        record("score_flow", 1, [20, 60, 80]),
    ]
