# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A bandit with two equally good actions in the plane, on which a learner can be looked at. It is no robot task."""

from __future__ import annotations

import math
from importlib import metadata
from types import SimpleNamespace

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from flow_rl.models import FlowPolicy
from flow_rl.objectives import flow_matching_loss

CENTRES = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
"""The two best actions."""
WIDTH = 0.25
"""Width of the reward's peaks."""
START = (0.0, 0.35)
"""Mean and deviation of the actions before fine-tuning."""


def reward(actions: torch.Tensor) -> torch.Tensor:
    """Height of the nearer peak at actions (..., 2), at most 1, shape (...)."""
    distance = (actions.unsqueeze(-2) - CENTRES.to(actions)).norm(dim=-1).amin(dim=-1)
    return torch.exp(-0.5 * (distance / WIDTH).square())


class Bandit(VecEnv):
    """One decision per episode; the observation says nothing."""

    def __init__(self, num_envs: int, device: str = "cpu"):
        """Build the environments.

        Args:
            num_envs: Number of environments E.
            device: Where they are.
        """
        self.num_envs, self.num_actions, self.device, self.max_episode_length = num_envs, 2, device, 1
        self.cfg, self.unwrapped = {}, SimpleNamespace(spec=SimpleNamespace(id="Bandit"))
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long, device=device)

    def get_observations(self) -> TensorDict:
        """Zeros, shape (E, 1)."""
        return TensorDict({"policy": torch.zeros(self.num_envs, 1, device=self.device)}, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Reward each action; every step ends an episode."""
        return self.get_observations(), reward(actions), torch.ones_like(self.episode_length_buf), {}


def pretrain(policy: FlowPolicy, num_steps: int = 1000, batch_size: int = 256) -> None:
    """Teach the policy one broad Gaussian between the two best actions, by flow matching."""
    optimizer = torch.optim.Adam(policy.velocity.parameters(), lr=2e-3)
    latent = torch.zeros(batch_size, 1, device=policy.score_coefs.device)
    for _ in range(num_steps):
        noise = torch.randn(batch_size, 2, device=latent.device)
        actions = START[0] + START[1] * torch.randn_like(noise)
        t = torch.rand(batch_size, 1, device=latent.device)
        loss = flow_matching_loss(lambda x, t: policy.velocity_field(x, t, latent), actions, noise, t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def configuration(num_iterations: int, **algorithm) -> dict:
    """RLDT's configuration with small networks, as the runner takes it.

    Args:
        num_iterations: Length of the schedules.
        algorithm: Settings of the learner that differ.
    """
    from isaaclab.utils import to_dict
    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg

    from flow_rl.configs.rldt import RldtRunnerCfg

    cfg = RldtRunnerCfg(device="cpu", num_steps_per_env=4, max_iterations=num_iterations)
    cfg.actor.horizon, cfg.actor.num_flow_steps, cfg.actor.hidden_dims = 1, 8, [64, 64, 64]
    cfg.actor.intermediate_clip = None  # a bound would cut the pictured density square
    cfg.critic.hidden_dims = [64, 64]
    settings = {"from_scratch": True, "gamma": 0.0, "window": 1, "critic_warmup": 10, "num_particles": 16}
    settings |= {"num_critic_updates": 64, "critic_learning_rate": 3e-3, "final_critic_learning_rate": 1e-3}
    settings |= {"actor_batch_size": 16, "learning_rate": 4e-4, "final_learning_rate": 1e-4}
    settings |= {"consistency_coef": 0.5, "reference_coef": 0.2}
    # The temperature is that of the density exp(Q / T) to which the field leads.
    settings |= {"normalization": "none", "exploration": "gaussian", "exploration_std": 0.15}
    for name, value in (settings | algorithm).items():
        setattr(cfg.algorithm, name, value)
    return to_dict(handle_deprecated_rsl_rl_cfg(cfg, metadata.version("rsl-rl-lib")))


def make_runner(cfg: dict, seed: int, num_envs: int = 64) -> OnPolicyRunner:
    """Stock runner with a pretrained policy on the bandit.

    Args:
        cfg: The learner's configuration as a dictionary.
        seed: Seed of everything.
        num_envs: Number of environments.
    """
    torch.manual_seed(seed)
    runner = OnPolicyRunner(Bandit(num_envs, cfg["device"]), cfg, device=cfg["device"])
    pretrain(runner.alg.actor)
    return runner


@torch.no_grad()
def measure(policy: FlowPolicy, num: int = 4096) -> dict[str, float]:
    """Mean reward, shares of solved actions and of the left mode (nearer to it), and spread of a mode's actions.

    An action is solved within half a peak's width of a best one.
    """
    actions = policy.sample(torch.zeros(num, 1, device=policy.score_coefs.device))
    centres = CENTRES.to(actions)
    nearest = (actions.unsqueeze(1) - centres).norm(dim=-1).argmin(dim=-1)
    spread = torch.stack([actions[nearest == i].std(dim=0).mean() for i in range(2) if (nearest == i).sum() > 1])
    return {
        "reward": float(reward(actions).mean()),
        "solved": float((reward(actions) >= math.exp(-0.125)).float().mean()),
        "left": float((nearest == 0).float().mean()),
        "spread": float(spread.mean()),
    }
