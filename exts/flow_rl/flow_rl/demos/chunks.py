# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations as observations and the chunks of actions that follow them."""

from __future__ import annotations

import copy

import numpy as np
import torch

from flow_rl.utils.check import InputError

from .reader import Demos

OBS_GROUP = "policy"
"""Observation group under which a policy meets the demonstrations' vectors in the environment."""


class ChunkDataset:
    """Every observation with the H actions that follow it, kept on the device when it fits."""

    def __init__(self, demos: Demos, horizon: int, device: str | torch.device = "cpu"):
        """Cut the episodes into chunks by a sliding window; past the end the last action is repeated.

        Every observation keeps its chunk: the last ones of an episode, where a part goes in, are too dear to leave out.
        What is repeated there is no data and is marked, so that nobody learns it.

        Args:
            demos: Episodes.
            horizon: Chunk length H.
            device: Where batches are wanted.
        """
        if horizon < 1:
            raise InputError(f"horizon={horizon} is too short. Valid: 1 or more actions per chunk.")
        self.device = torch.device(device)
        ends = np.repeat(np.cumsum(demos.lengths), demos.lengths)  # (N,)
        rows = np.arange(len(demos.actions))[:, None] + np.arange(horizon)  # (N, H)
        self._remaining = torch.from_numpy(ends - rows[:, 0])  # (N,)
        rows = np.minimum(rows, ends[:, None] - 1)
        chunks = torch.from_numpy(demos.actions[rows].reshape(len(rows), -1))  # (N, H*A)
        obs = {OBS_GROUP: demos.obs, **demos.images}
        num_bytes = chunks.nbytes + sum(array.nbytes for array in obs.values())
        home = self.device if _fits(num_bytes, self.device) else torch.device("cpu")
        self.obs = {name: torch.from_numpy(array).to(home) for name, array in obs.items()}
        """Observations, shape (N, O), and images of each camera, bytes of shape (N, C, H, W)."""
        self.chunks = chunks.to(home)
        """Flattened action chunks, shape (N, H*A)."""
        ticks = torch.arange(horizon).repeat_interleave(demos.action_dim)  # (H*A,)
        self._remaining, self._ticks = self._remaining.to(home), ticks.to(home)
        self.lengths = demos.lengths
        """Number of samples of each episode, shape (M,)."""
        self.rows = torch.arange(len(chunks), device=home)
        """Rows of the above that are drawn, of all these episodes."""

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, fraction: float, seed: int = 0) -> tuple[ChunkDataset, ChunkDataset | None]:
        """Return episodes to learn from and held-out ones, without copies; None where there is nothing to hold out.

        Args:
            fraction: Share of episodes to hold out, in [0, 1); at least one is held out if it is positive.
            seed: Seed of the draw.
        """
        if not 0.0 <= fraction < 1.0:
            raise InputError(
                f"validation_fraction={fraction} is not in [0, 1). Use 0.1 to hold out every tenth episode."
            )
        num_demos = len(self.lengths)
        num_held_out = min(max(round(fraction * num_demos), 1 if fraction > 0 else 0), num_demos - 1)
        if num_held_out == 0:
            return self, None
        held_out = np.zeros(num_demos, dtype=bool)
        held_out[np.random.default_rng(seed).permutation(num_demos)[:num_held_out]] = True
        return self._part(~held_out), self._part(held_out)

    def _part(self, chosen: np.ndarray) -> ChunkDataset:
        """The chosen episodes, a mask (M,), in the same memory."""
        part = copy.copy(self)
        part.lengths = self.lengths[chosen]
        part.rows = self.rows[torch.from_numpy(np.repeat(chosen, self.lengths)).to(self.rows.device)]
        return part

    def sample(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return a random batch, drawn with replacement: observations by group, chunks, and which actions are data.

        Chunks and mask have the shape (B, H*A).
        """
        ids = self.rows[torch.randint(len(self), (batch_size,), device=self.rows.device, generator=generator)]
        obs = {name: rows[ids].to(self.device) for name, rows in self.obs.items()}
        is_data = self._ticks < self._remaining[ids].unsqueeze(1)
        return obs, self.chunks[ids].to(self.device), is_data.to(self.device)


def _fits(num_bytes: int, device: torch.device) -> bool:
    """Whether the data takes less than half of the free device memory."""
    return device.type != "cuda" or num_bytes < torch.cuda.mem_get_info(device)[0] / 2
