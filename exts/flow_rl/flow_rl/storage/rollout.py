# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rollouts kept on the device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tensordict import TensorDict


class RolloutStorage:
    """Buffers of T steps in E environments, allocated once and filled in place.

    Fields of :attr:`data`, each of leading shape (T, E):
        obs: Observation groups acted upon, as far as they are read.
        reward: Reward of the step.
        terminated, truncated: How the episode ended at the step, if it did.
        value: Critic's value of `obs`.
        terminal_value: Critic's value of a truncated episode's last observation; 0 elsewhere.
        advantage, return: Written when the rollout is complete.
        and what the learner keeps of each decision, such as its chain and log-likelihood.

    Images stay bytes, raw: a camera of 96 x 96 pixels takes 27,648 bytes per decision, and T * E of them are kept.
    """

    def __init__(self, obs: TensorDict, num_steps: int, fields: dict[str, tuple[int, ...]], device: str | torch.device):
        """Allocate the buffers.

        Args:
            obs: One step's observations, of which the shapes are read, batch size (E,).
            num_steps: Number of steps T.
            fields: Shape per decision of what the learner keeps.
            device: Where everything is kept.
        """
        num_envs = obs.batch_size[0]
        self.num_steps, self.num_envs, self.step = num_steps, num_envs, 0

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(num_steps, num_envs, *shape, dtype=dtype, device=device)

        groups = {name: zeros(*group.shape[1:], dtype=group.dtype) for name, group in obs.items()}
        scalars = ("reward", "value", "terminal_value", "advantage", "return")
        self.data = TensorDict(
            {
                "obs": TensorDict(groups, batch_size=[num_steps, num_envs], device=device),
                **{name: zeros() for name in scalars},
                **{name: zeros(dtype=torch.bool) for name in ("terminated", "truncated")},
                **{name: zeros(*shape) for name, shape in fields.items()},
            },
            batch_size=[num_steps, num_envs],
            device=device,
        )

    @property
    def num_bytes(self) -> int:
        """Size of the buffers on the device."""
        return self.data.bytes()

    def record(self, **values: torch.Tensor | TensorDict) -> None:
        """Write fields of the present step."""
        if self.step >= self.num_steps:
            raise OverflowError("the rollout is full: compute_returns and update come before the next step")
        for name, value in values.items():
            self.data[name][self.step].copy_(value)

    def advance(self) -> None:
        """Go on to the next step."""
        self.step += 1

    def clear(self) -> None:
        """Begin a new rollout."""
        self.step = 0

    def mini_batches(self, num: int) -> Iterator[TensorDict]:
        """Shuffled batches of decisions, sizes differ by at most one; every decision occurs once."""
        flat = self.data.flatten(0, 1)
        order = torch.randperm(flat.batch_size[0], device=flat.device)
        for indices in order.tensor_split(num):
            yield flat[indices]
