# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A small policy with the contract of the Lift task that was taught to go above the object and to close there."""

from pathlib import Path

import torch

from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.export import export_package
from flow_rl.models import FlowPolicy
from flow_rl.objectives import flow_matching_loss
from tests.deploy.lift import ACTION, lift_contract

SETTINGS = {"obs_groups": {"policy": 19}, "action_dim": ACTION, "horizon": 2, "hidden_dims": [64, 64]}
HOVER = 0.08
"""Height above the object to which the policy was taught to go [m]."""


def lift_package(folder: Path) -> PolicyPackage:
    """Teach a policy, in seconds, and export it."""
    torch.manual_seed(0)
    policy = FlowPolicy.from_settings(SETTINGS)
    obs, actions = demonstrations(4096)
    policy.fit(obs, actions)
    chunks = policy.action_normalizer(actions.repeat(1, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(500):
        rows = torch.randint(len(obs), (256,))
        latent = policy.get_latent({"policy": obs[rows]})
        noise, times = torch.randn(256, 2 * ACTION), torch.rand(256, 1)
        loss = flow_matching_loss(lambda x, t: policy.velocity_field(x, t, latent), chunks[rows], noise, times)  # noqa: B023
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval()
    return export_package(policy, lift_contract(policy.horizon), {"policy": obs[:6]}, folder)


def demonstrations(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations (N, 19), and what is right there (N, 7): half the way to above the object, closing below 11 cm."""
    low, high = torch.tensor([0.3, -0.25, 0.05]), torch.tensor([0.65, 0.25, 0.4])
    tool, cube = (low + (high - low) * torch.rand(num, 3) for _ in range(2))
    cube[:, 2] = 0.025
    near = torch.rand(num, 1) < 0.5
    tool = torch.where(near, cube + torch.tensor([0.0, 0.0, HOVER]) + 0.03 * torch.randn(num, 3), tool)
    down = torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.02 * torch.randn(num, 4)
    still = torch.tensor([0.0, 0.0, 0.0, 1.0]) + 0.02 * torch.randn(num, 4)
    width = 0.04 * torch.rand(num, 1).expand(-1, 2)
    way = cube + torch.tensor([0.0, 0.0, HOVER]) - tool
    shift = (0.5 * way / 0.05).clamp(-1.0, 1.0)
    is_open = torch.where(tool[:, 2:] - cube[:, 2:] > 0.11, 1.0, -1.0)
    turns = 0.01 * torch.randn(num, 3)
    obs = torch.cat((tool, down / down.norm(dim=1, keepdim=True), width, cube, still, cube - tool), dim=1)
    return obs, torch.cat((shift, turns, is_open), dim=1)
