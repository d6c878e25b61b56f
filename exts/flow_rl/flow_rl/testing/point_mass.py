# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A vectorised point mass, small enough for unit tests of learners. It is no task of the project."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict


class PointMassTask:
    """The point mass with the interface of a manager-based environment, as evaluations see it."""

    def __init__(self, points: PointMass, log_dir: str | None = None):
        self.points, self.spec = points, SimpleNamespace(id="PointMass")
        self.num_envs, self.device, self.max_episode_length = points.num_envs, points.device, points.max_episode_length
        self.cfg = SimpleNamespace(log_dir=log_dir)
        self.reset_terminated = torch.zeros(points.num_envs, dtype=torch.bool, device=points.device)
        self.termination_manager = SimpleNamespace(
            active_terms=["success"], get_term=lambda name: {"success": self.reset_terminated}[name]
        )

    def reset(self, seed: int | None = None) -> tuple[dict, dict]:
        """Begin anew everywhere."""
        if seed is not None:
            torch.manual_seed(seed)
        self.points.position = self.points._start(self.num_envs)
        self.points.episode_length_buf = torch.zeros_like(self.points.episode_length_buf)
        return dict(self.points.get_observations()), {}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that goes on from one decision to the next."""
        return {"position": self.points.position, "episode_length_buf": self.points.episode_length_buf}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        for name, value in state.items():
            setattr(self.points, name, value.to(self.device).clone())

    def step(self, actions: torch.Tensor) -> tuple[dict, torch.Tensor, torch.Tensor, torch.Tensor, dict]:
        """Move by a chunk of velocities."""
        obs, rewards, dones, extras = self.points.step(actions)
        return dict(obs), rewards, self.reset_terminated, dones.bool() & ~self.reset_terminated, extras


@dataclass
class PointMassCfg:
    """What the loggers store of the environment."""

    name: str = "PointMass"

    def to_dict(self) -> dict:
        """Plain values."""
        return {"name": self.name}


class PointMass(VecEnv):
    """Points in a plane that shall reach the origin; a decision is a chunk of velocities.

    The reward of a decision is 1 when the point comes within `radius`, which ends the episode; a time limit ends it
    too. Observation: position (2). Action: H chunks of 2 velocities, clipped to [-1, 1].
    """

    def __init__(
        self,
        num_envs: int = 32,
        horizon: int = 2,
        limit: int = 8,
        radius: float = 0.3,
        device: str = "cpu",
        final_obs: bool = True,
    ):
        self.num_envs, self.horizon, self.radius, self.device = num_envs, horizon, radius, device
        self.num_actions, self.max_episode_length = 2 * horizon, limit
        self.cfg, self.final_obs = PointMassCfg(), final_obs
        self.unwrapped = PointMassTask(self)
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.position = self._start(num_envs)

    def _start(self, num: int) -> torch.Tensor:
        angle = 2 * torch.pi * torch.rand(num, device=self.device)
        return torch.stack([angle.cos(), angle.sin()], dim=-1)

    def get_observations(self) -> TensorDict:
        """Positions, shape (E, 2)."""
        return TensorDict({"policy": self.position.clone()}, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Move by a chunk of velocities."""
        success = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        for velocity in actions.view(-1, self.horizon, 2).unbind(dim=1):
            self.position = self.position + 0.25 * velocity.clamp(-1, 1)
            success |= self.position.norm(dim=-1) < self.radius
        self.episode_length_buf += 1
        # As the host reports them: an episode that succeeds in its last step is out of time as well.
        time_outs = self.episode_length_buf >= self.max_episode_length
        self.unwrapped.reset_terminated = success
        dones = success | time_outs
        extras = {"time_outs": time_outs}
        if self.final_obs:
            extras["final_obs"] = {"policy": self.position.clone()}
        # Without a question to the host, so that a GPU need not be waited for.
        extras["log"] = {"Metrics/success_rate": success.sum() / dones.sum().clamp(min=1)}
        self.position = torch.where(dones.unsqueeze(-1), self._start(self.num_envs), self.position)
        self.episode_length_buf = self.episode_length_buf * ~dones
        return self.get_observations(), success.float(), dones.long(), extras


class FilmedPointMass(PointMass):
    """The point mass with a picture of 16 x 16 pixels in which the point is bright; the vector says nothing of it."""

    def picture(self, position: torch.Tensor) -> torch.Tensor:
        """Pictures of positions (E, 2), shape (E, 3, 16, 16), bytes."""
        line = torch.linspace(-1.5, 1.5, 16, device=self.device)
        grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
        near = (grid - position[:, None, None, :]).norm(dim=-1) < 0.4
        return (255 * near.byte())[:, None].expand(-1, 3, -1, -1).contiguous()

    def observe(self, position: torch.Tensor) -> dict[str, torch.Tensor]:
        """Both groups of observations, of positions (E, 2)."""
        return {"policy": torch.ones(len(position), 1, device=self.device), "front": self.picture(position)}

    def get_observations(self) -> TensorDict:
        """A vector that says nothing, and the picture."""
        return TensorDict(self.observe(self.position), batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Move by a chunk of velocities."""
        obs, rewards, dones, extras = super().step(actions)
        extras["final_obs"] = self.observe(extras["final_obs"]["policy"])
        return obs, rewards, dones, extras
