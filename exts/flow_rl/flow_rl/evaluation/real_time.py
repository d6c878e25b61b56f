# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies whose chunks take time to make, in environments that go on meanwhile."""

from __future__ import annotations

from typing import Any

import torch

from flow_rl.deploy.chunking import Chunking
from flow_rl.models import FlowPolicy, Overlap
from flow_rl.utils.check import require

from .policies import FunctionPolicy


class RealTimePolicy:
    """Decides every s control steps; until a chunk is ready, d later, what is left of the former one is executed.

    The environment executes s actions a step, so that nothing else changes there. An episode begins with a chunk that
    is ready: the robot stood still while it was made.
    """

    actor = None
    """Viewers draw chunks of the environment's length, which this policy's are not."""

    def __init__(self, policy: FunctionPolicy, chunking: Chunking, num_envs: int):
        """Wrap a policy.

        Args:
            policy: What makes chunks (E, H * A).
            chunking: When they are made, and how they join; if they do, the policy must be a flow policy.
            num_envs: Number E of environments.

        Raises:
            InputError: If the policy cannot join its chunks.
        """
        self._policy, self._chunking = policy, chunking
        valid = "naive: how this policy goes from noise to chunk is not known, or random"
        is_flow = policy.flows and policy.actor is not None and policy.actor.base is None
        require(not chunking.joins or is_flow, "--chunking", chunking.method, valid, "leave it out.")
        self._weights = torch.from_numpy(chunking.weights())
        self._former: torch.Tensor | None = None
        """Former chunks as they are executed, shape (E, H, A)."""
        self._has_former = torch.zeros(num_envs, dtype=torch.bool)

    def reset(self, env_ids: torch.Tensor) -> None:
        """Begin new episodes, in which nothing is left of former chunks."""
        self._has_former[env_ids.to(self._has_former.device)] = False
        self._policy.reset(env_ids)

    def act(self, obs: Any) -> torch.Tensor:
        """Return what is executed until the next decision, shape (E, s * A)."""
        horizon, steps, delay = self._chunking.horizon, self._chunking.execute, self._chunking.delay
        left = self._left()
        chunk = self._policy.act(obs) if left is None or not self._chunking.joins else self._join(obs, left)
        chunk = chunk.unflatten(1, (horizon, -1))
        if left is not None:
            late = torch.arange(horizon, device=chunk.device) < delay
            chunk = torch.where((self._has_former[:, None] & late)[..., None], left, chunk)
        self._former = chunk
        self._has_former = torch.ones(len(chunk), dtype=torch.bool, device=chunk.device)
        return chunk[:, :steps].flatten(1)

    def _left(self) -> torch.Tensor | None:
        """What former chunks say about the actions from now on, shape (E, H, A), zeros where they have ended."""
        if self._former is None:
            return None
        rest = self._former[:, self._chunking.execute :]
        return torch.nn.functional.pad(rest, (0, 0, 0, self._chunking.execute))

    def _join(self, obs: Any, left: torch.Tensor) -> torch.Tensor:
        """Chunks (E, H * A) that join what is left of the former ones."""
        actor: FlowPolicy = self._policy.actor
        weights = self._weights.to(left.device) * self._has_former[:, None]  # (E, H)
        overlap = Overlap(
            actor.action_normalizer(left.flatten(1)),
            weights.repeat_interleave(left.shape[2], dim=1),
            guided=self._chunking.method == "rtc",
        )
        return actor.action_normalizer.inverse(actor.sample(actor.get_latent(obs), overlap=overlap))
