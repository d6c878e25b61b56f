# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What tasks and variants set for pretraining and the learners; see :mod:`flow_rl.configs.compose`."""

from __future__ import annotations

from typing import Any

from flow_rl.configs.compose import Settings


def on_policy(num_steps_per_env: int | None = None, **algorithm: Any) -> Settings:
    """Return settings of the learners that use PPO on a noisy flow: of the runner, and of the algorithm by name."""
    fields = {f"algorithm.{name}": value for name, value in algorithm.items()}
    if num_steps_per_env is not None:
        fields["num_steps_per_env"] = num_steps_per_env
    return {"score_flow": fields, "reinflow": fields}


def highest_return(value: float) -> Settings:
    """Return settings for tasks in which an episode's return lies between 0 and ``value``."""
    learners = ("rldt", "qam", "trqam", "residual")  # values that contain entropies have no bounds
    return {name: {"algorithm.value_range": [0.0, value]} for name in learners}


def seen_by(*cameras: str) -> Settings:
    """Return settings for tasks that the actor sees through cameras while the critic sees the state.

    The critic may see what the actor sees, for learning from pixels alone; see :class:`flow_rl.models.CriticView`.
    """
    groups = ["policy", *cameras]
    return {"pretrain": {"obs_keys": groups}, "learners": {"obs_groups": {"actor": groups, "critic": ["state"]}}}


VISION = seen_by("front", "wrist")

SQUARE = on_policy(
    num_steps_per_env=100,  # a whole episode
    # The peg leaves 3 mm: less than half of the lift's noise, and learning rates that suit it.
    std_min=0.03,
    std_max=0.06,
    learning_rate=4.0e-5,
    final_learning_rate=2.0e-5,
    critic_warmup=2,
)

# The expert takes 20 decisions, the clumsy more, and at most 100.
TRANSPORT: Settings = {"all": {"actor.horizon": 8}, "learners": {"num_steps_per_env": 50}}

KITCHEN: Settings = {
    "all": {"actor.prediction": "residual", "actor.obs_scaling": "whitening"},
    "learners": {"num_steps_per_env": 70},  # a whole episode
    "pretrain": {"num_steps": 20000},
    **on_policy(
        # Errors of seven joints add up in the tool: with the lift's noise, success while exploring fell from 55 to 9 %.
        std_min=0.02,
        std_max=0.03,
        learning_rate=2.0e-5,
        final_learning_rate=1.0e-5,
        critic_warmup=2,
    ),
}

FURNITURE: Settings = {
    # A few millimetres decide, of what is seen and of what is done; so scaled, the net does not overlook them.
    "all": {"actor.horizon": 8, "actor.prediction": "residual", "actor.obs_scaling": "whitening"},
    "learners": {"num_steps_per_env": 44},
    # Longer than for short tasks: the last millimetre decides.
    "pretrain": {"num_steps": 40000, "final_learning_rate": 1.0e-5},
    **on_policy(
        # Holes forgive less than the lift's cube: a quarter of its noise, and the learning rate that suits so little.
        std_min=0.02,
        std_max=0.03,
        learning_rate=2.0e-5,
        final_learning_rate=1.0e-5,
        critic_warmup=2,
        gamma=0.995,
    ),
    "rldt": {
        "obs_groups.critic": ["policy", "privileged"],
        "max_iterations": 50,
        "save_interval": 5,  # few and long iterations, and what is gained can be lost again
        "critic.dueling": True,
        # Rewards come after 20 decisions and more: V learns from long returns, A from what the next observations show,
        # and many steps over several iterations pass before A says anything about chunks it has not seen.
        "algorithm.lam": 0.5,
        "algorithm.value_lam": 0.95,
        "algorithm.bootstrap": "mean",
        "algorithm.window": 12,
        "algorithm.critic_batch_size": 32,
        "algorithm.num_critic_updates": 512,
        "algorithm.critic_warmup": 4,
        "algorithm.learning_rate": 2.0e-5,
        "algorithm.final_learning_rate": 1.0e-5,
        "algorithm.actor_batch_size": 256,
        # A policy that must be precise is moved in the directions in which it varies, and needs no other noise: a shift
        # of a few millimetres in all chunks, or straightness alone, loses the task.
        "algorithm.preconditioner": "covariance",
        "algorithm.reference_coef": 0.005,
        "algorithm.consistency_coef": 0.0,
        "algorithm.exploration": "gaussian",
        "algorithm.exploration_std": 0.0,
        "algorithm.balance_successes": False,
        # Whole trajectories of all environments take gigabytes on a GPU.
        "algorithm.save_replay": False,
    },
}

# Comes after VISION: the critic of RLDT sees what that of the state variant sees.
FURNITURE_VISION: Settings = {"rldt": {"obs_groups.critic": ["state", "privileged"]}}

# A net twice as wide, for more variety than the usual one can learn.
WIDE: Settings = {"all": {"actor.hidden_dims": [1024, 1024, 1024]}, "pretrain": {"num_steps": 50000}}

# Tokens of actions instead of one perceptron of the whole chunk; slower on a CPU.
TRANSFORMER: Settings = {"all": {"actor.backbone.kind": "transformer"}}

PRESETS: dict[str, Settings] = {"wide": WIDE, "transformer": TRANSFORMER}
"""What a user may add to any task: ``presets=wide`` on the command line.

``presets=paper`` is that of :mod:`flow_rl_tasks.papers`."""
