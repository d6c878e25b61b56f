# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What learning does to a policy, seen at states, noise and times that stay the same."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from torch import nn

from flow_rl.flows import interpolate
from flow_rl.models import FlowPolicy


class Probe(nn.Module):
    """Measures how far a policy moves in an iteration and has moved in all, how varied it is, and how bent its flow.

    States are those of the first iteration's decisions, N of them; each has two noises of its own. Nothing here draws
    from training's random numbers or asks the host for anything.
    """

    def __init__(self, policy: FlowPolicy, obs: TensorDict, num_steps: int, num_states: int = 128):
        """Allocate the probe.

        Args:
            policy: A policy of the kind that is measured.
            obs: One step's observations (E,).
            num_steps: Decisions per environment and iteration, over which states are spread.
            num_states: About how many states; fewer if they are pictures.
        """
        super().__init__()
        self.groups = list(policy.obs_groups)
        wanted = num_states // 4 if policy.image_shapes else num_states
        self.rows = min(math.ceil(wanted / num_steps), obs.batch_size[0])
        num, dim, steps = self.rows * num_steps, policy.output_dim, policy.num_flow_steps
        for group in self.groups:
            like = obs[group]
            self.register_buffer(f"obs_{group}", torch.zeros(num, *like.shape[1:], dtype=like.dtype))
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("noise", torch.randn(2, num, dim, generator=generator))
        for name in ("first", "before"):
            self.register_buffer(f"velocity_{name}", torch.zeros(steps, num, dim))
        self.register_buffer("chunks", torch.zeros(num, dim))
        self.filled, self.size, self.began = 0, num, False
        self.LOCAL = set(self.state_dict())  # each rank has its own environments

    def adapt(self, state: dict) -> dict:
        """State of a checkpoint; states of another number or kind begin anew."""
        own = self.state_dict()
        self.began = all(key in state and state[key].shape == value.shape for key, value in own.items())
        self.filled = self.size if self.began else 0
        return state if self.began else own

    def see(self, obs: TensorDict) -> None:
        """Take a few of a decision's observations (E,) until all states are known."""
        if self.filled < self.size:
            for group in self.groups:
                getattr(self, f"obs_{group}")[self.filled : self.filled + self.rows] = obs[group][: self.rows]
            self.filled += self.rows

    @torch.no_grad()
    def begin(self, policy: FlowPolicy) -> None:
        """Take note of the policy that an iteration begins with."""
        if self.filled < self.size:
            return
        first = not self.began
        if first:
            self.began = True
            self.chunks.copy_(self._chunks(policy, self._states(policy)[-1])[0])
        self.velocity_before.copy_(self._velocities(policy))
        if first:
            self.velocity_first.copy_(self.velocity_before)

    @torch.no_grad()
    def measure(self, policy: FlowPolicy, env: VecEnv | None = None) -> dict[str, torch.Tensor]:
        """Scalars about the policy that an iteration ends with; none before all states are known.

        `policy_move` and `policy_distance` are mean squared differences of velocities, per coordinate, from the policy
        at the beginning of the iteration and of learning, a head's correction counting as velocity;
        `policy_chunk_distance` is the mean distance of chunks from the same noise, `policy_spread` that of chunks from
        two noises, in normalised units and per root of coordinates; `policy_bend` is how far the landing points of the
        steps lie from the ends, likewise.
        `policy_distance_m` is the mean distance [m] between where chunks lead the tool and where those from the same
        noise led it when learning began, if the task says where chunks lead.

        Args:
            policy: The policy.
            env: Environments, whose action term "chunk" may say where chunks lead.
        """
        if not self.began:
            return {}
        velocities, states = self._velocities(policy), self._states(policy)
        root, t = math.sqrt(policy.output_dim), policy.step_times[..., None, None]
        steps = torch.cat([t[1:], torch.ones_like(t[:1])]) - t
        # where each step points at, (K, 2, N, D)
        landing = states[:-1] + (1.0 - t) / steps * (states[1:] - states[:-1])
        chunks = self._chunks(policy, states[-1])
        return self._metres(policy, chunks[0], env) | {
            "policy_move": (velocities - self.velocity_before).square().mean(),
            "policy_distance": (velocities - self.velocity_first).square().mean(),
            "policy_chunk_distance": (chunks[0] - self.chunks).norm(dim=-1).mean() / root,
            "policy_spread": (chunks[0] - chunks[1]).norm(dim=-1).mean() / root,
            "policy_bend": (landing - states[-1]).norm(dim=-1).mean() / root,
        }

    def _metres(self, policy: FlowPolicy, chunks: torch.Tensor, env: VecEnv | None) -> dict[str, torch.Tensor]:
        """Distance of the tool's positions between chunks (N, D) and the first ones, from where the tools now are."""
        manager = getattr(getattr(env, "unwrapped", env), "action_manager", None)
        term = manager.get_term("chunk") if manager is not None and "chunk" in manager.active_terms else None
        if not hasattr(term, "planned_paths"):
            return {}
        # a chunk for each environment, some of them twice where they do not come out even
        index = torch.arange(-(-self.size // env.num_envs) * env.num_envs, device=chunks.device) % self.size
        both = policy.action_normalizer.inverse(torch.stack([chunks, self.chunks]))[:, index]
        paths = term.planned_paths(both.view(-1, env.num_envs, both.shape[-1]).to(env.device))
        if len(paths) == 0:
            return {}
        now, first = paths[..., 1:, :].chunk(2, dim=1)
        return {"policy_distance_m": (now - first).norm(dim=-1).mean().to(chunks.device)}

    def _latent(self, policy: FlowPolicy) -> torch.Tensor:
        """What the policy makes of the states, (N, L)."""
        return policy.get_latent({group: getattr(self, f"obs_{group}") for group in self.groups})

    def _states(self, policy: FlowPolicy) -> torch.Tensor:
        """States of the flow from both noises, (K + 1, 2, N, D)."""
        latent = self._latent(policy).repeat(2, 1)
        return policy.flow(latent, self.noise.flatten(0, 1)).unflatten(1, self.noise.shape[:2])

    def _chunks(self, policy: FlowPolicy, ends: torch.Tensor) -> torch.Tensor:
        """What is played of ends (2, N, D) of the flow from both noises."""
        return policy.corrected(ends, self._latent(policy).expand(2, -1, -1))

    def _velocities(self, policy: FlowPolicy) -> torch.Tensor:
        """Velocities (K, N, D) on lines from noise to the chunks of the policy that learning began with.

        What a head adds to these chunks is added, for a correction is as much velocity over the unit of flow time.
        """
        latent, noise = self._latent(policy), self.noise[0]
        times = [t.expand(len(noise), 1) for t in policy.step_times]
        correction = policy.corrected(self.chunks, latent) - self.chunks
        return torch.stack([policy.drift(interpolate(noise, self.chunks, t), t, latent) + correction for t in times])
