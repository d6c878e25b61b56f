# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two processes learn one policy."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from flow_rl.configs import learners
from flow_rl.models import FlowPolicy  # noqa: F401 - forks find it imported
from flow_rl.ranks.runner import RankRunner
from flow_rl.testing import PointMass, small_config
from flow_rl.testing.learners import tensors
from tests.ranks.forked import on_ranks

OFF_POLICY = {"num_critic_updates": 2, "target_repeat": 2, "num_actor_updates": 1}
OFF_POLICY |= {"critic_batch_size": 8, "actor_batch_size": 8}
"""Few updates."""
SMALL: dict[str, dict[str, Any]] = {
    "dsrl": OFF_POLICY | {"num_distillation_updates": 1},
    "qam": OFF_POLICY | {"num_sde_steps": 3},
    "trqam": OFF_POLICY | {"num_sde_steps": 3},
    "rldt": OFF_POLICY | {"num_particles": 4, "reference": "pretrained", "reference_budget": 0.01},
    "residual": OFF_POLICY,
    "sac_flow": OFF_POLICY,
    "score_flow": {"target_kl": 0.5, "num_learning_epochs": 2, "num_mini_batches": 2},
}
"""Settings of learners; RLDT's with a weight that learns."""
STEPS = 3
"""Decisions per environment and iteration."""
OWN = {"replay", "probe"}
"""Parts that belong to a rank."""


def make(learner: str, num_envs: int, folder: Path | None = None, **settings: Any) -> RankRunner:
    """A learner behind our runner, with few updates."""
    plain = {} if learner in SMALL else {"num_learning_epochs": 1, "num_mini_batches": 2}
    cfg = small_config(learner, **(SMALL.get(learner, {}) | plain | settings)) | {"num_steps_per_env": STEPS}
    return RankRunner(PointMass(num_envs), cfg, log_dir=str(folder) if folder else None, device="cpu")


def learn(rank: int, learner: str, iterations: int) -> dict:
    """One rank with its own number of environments; returns its state."""
    runner = make(learner, 8 + 4 * rank)
    runner.learn(iterations)
    return runner.alg.save() | {"obs": runner.env.get_observations()["policy"]}


@pytest.mark.parametrize("learner", sorted(learners()))
def test_ranks_keep_parameters_and_statistics_equal(learner):
    """After 20 iterations on different data, all but what belongs to a rank has the same bits."""
    first, second = on_ranks(learn, learner, 20)
    assert not torch.equal(first["obs"], second["obs"][: len(first["obs"])])
    parts = {key for key in first if key.endswith("_state_dict")}
    assert {"actor_state_dict", "critic_state_dict", "optimizer_state_dict"} < parts
    common = parts - {f"{name}_state_dict" for name in OWN}
    ours, theirs = (tensors({name: state[name] for name in common}) for state in (first, second))
    assert ours.keys() == theirs.keys()
    differ = [key for key in ours if not torch.equal(ours[key], theirs[key])]
    assert [key for key in differ if key != ".reward_scaler_state_dict.returns"] == []
    if "reward_scaler_state_dict" in first:
        assert first["reward_scaler_state_dict"]["moments"][0] == 20 * STEPS * (8 + 12)
    if "replay_state_dict" in first:
        assert not torch.equal(first["replay_state_dict"]["total"], second["replay_state_dict"]["total"][:28])


def rollout(learner: str, num_envs: int) -> tuple[RankRunner, dict, TensorDict, TensorDict | None]:
    """A runner before its first update with one mini-batch, its parts, what follows the rollout, and the rollout."""
    single = {} if learner in SMALL and learner != "score_flow" else {"num_learning_epochs": 2, "num_mini_batches": 1}
    torch.manual_seed(0)
    runner = make(learner, num_envs, bc_coef=0.0, **single)
    parts = copy.deepcopy({name: part.state_dict() for name, part in runner.alg.parts.items()})
    obs = runner.env.get_observations()
    runner.alg.train_mode()
    with torch.inference_mode():
        for _ in range(runner.cfg["num_steps_per_env"]):
            obs, rewards, dones, extras = runner.env.step(runner.alg.act(obs))
            runner.alg.process_env_step(obs, rewards, dones, extras)
    return runner, parts, obs, runner.alg.storage.data.clone()


def first_update(rank: int, learner: str, parts: dict, obs: TensorDict, data: TensorDict) -> dict:
    """The first update of a rank that has seen its half of a rollout."""
    half = slice(rank * 8, rank * 8 + 8)
    runner, *_ = rollout(learner, 8)
    for name, part in runner.alg.parts.items():
        state = {key: value for key, value in parts[name].items() if key not in getattr(part, "LOCAL", ())}
        part.load_state_dict(state, strict=False)
    with torch.inference_mode():
        runner.alg.storage.data.copy_(data[:, half])
        runner.alg.compute_returns(obs[half])
    runner.alg.update()
    return {name: part.state_dict() for name, part in runner.alg.parts.items() if name not in OWN}


@pytest.mark.parametrize("learner", ["score_flow", "dppo", "fpo", "resip", "ppo"])
def test_two_ranks_make_the_first_update_of_one_with_all_environments(learner):
    """Gradients, advantages, returns' scale and observations' scale are those of all environments."""
    runner, parts, obs, data = rollout(learner, 16)
    with torch.inference_mode():
        runner.alg.compute_returns(obs)
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.alg.update()
    assert any(not torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())
    expected = tensors({name: part.state_dict() for name, part in runner.alg.parts.items() if name not in OWN})
    for state in on_ranks(first_update, learner, parts, obs, data):
        for key, value in tensors(state).items():
            if key != ".reward_scaler.returns":
                assert torch.allclose(value, expected[key], atol=1e-5, rtol=1e-5), key


def critic_step(rank: int, state: dict, batch: TensorDict) -> dict:
    """One step of a critic on its half of a batch."""
    runner = make("rldt", 8)
    runner.alg.critic.load_state_dict(state)
    runner.alg.td_critic.step(batch.chunk(2, dim=1)[rank], runner.alg.optimizer)
    return runner.alg.critic.state_dict()


def test_a_step_of_a_critic_on_halves_of_a_batch_is_that_on_all():
    """Also where the halves hold different numbers of valid places."""
    runner = make("rldt", 8)
    subsets, shape = runner.alg.num_subsets, (runner.alg.num_subsets, 8, 2)
    batch = TensorDict(
        {
            "latent": torch.randn(*shape, 2),
            "action": torch.randn(*shape, runner.alg.actor.output_dim),
            "targets": torch.randn(*shape, 1),
            "valid": torch.arange(16 * subsets).view(shape) % 16 < 11,
        },
        batch_size=shape,
    )
    state = copy.deepcopy(runner.alg.critic.state_dict())
    runner.alg.td_critic.step(batch, runner.alg.optimizer)
    expected = runner.alg.critic.state_dict()
    assert any(not torch.equal(state[key], expected[key]) for key in state)
    for found in on_ranks(critic_step, state, batch):
        assert all(torch.allclose(found[key], expected[key], atol=1e-6) for key in expected)
