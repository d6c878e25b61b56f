# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the loggers receive from the real runner."""

import pytest
import wandb

from tests.algorithms.conftest import make_cfg
from tests.test_wandb import read_history

TAGS = {
    "Metrics/success_rate",
    "Train/mean_reward",
    "Policy/mean_std",
    *(
        f"Loss/{name}"
        for name in ("surrogate", "value", "entropy", "ratio", "ratio_error_first", "kl", "clip_fraction")
    ),
    *(f"Loss/{name}_{i}" for name in ("alpha", "sigma") for i in range(4)),
    "Loss/explained_variance",
    "Loss/learning_rate",
    "Loss/critic_learning_rate",
    "Loss/reward_scale",
    "Loss/saturation",
}


def read_tags(folder) -> set[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return set(EventAccumulator(str(folder)).Reload().Tags()["scalars"])


@pytest.mark.parametrize("learner", ["score_flow", "reinflow"])
def test_tensorboard(learner, make_runner, tmp_path):
    """Success, returns, alpha, sigma, ratio and KL arrive, for both learners under the same names."""
    make_runner(learner, log=True).learn(2)
    assert read_tags(tmp_path) >= TAGS


def test_tensorboard_of_rldt(make_runner, tmp_path):
    """Critic, field, losses and replay arrive."""
    make_runner("rldt", log=True, num_critic_updates=16, num_actor_updates=2).learn(1)
    names = ("critic", "q_mean", "q_spread", "target_mean", "alignment", "consistency", "reference", "bandwidth")
    names += ("attraction_norm", "repulsion_norm", "grad_q_norm", "distance", "skipped_steps")
    names += ("replay_trajectories", "replay_success", "max_return", "learning_rate", "critic_learning_rate")
    assert read_tags(tmp_path) >= {"Metrics/success_rate", "Policy/mean_std", *(f"Loss/{name}" for name in names)}


def test_wandb_offline(make_runner, wandb_folder):
    """The same arrives in an offline wandb run."""
    cfg = make_cfg() | {"logger": {"class_name": "WandbLogWriter", "project_name": "test"}}
    make_runner(cfg=cfg, log=True).learn(2)
    wandb.teardown()  # ends the process that writes; finishing the run alone may return before all is written
    (file,) = wandb_folder.glob("offline-run-*/*.wandb")
    assert set().union(*read_history(file)) >= TAGS
