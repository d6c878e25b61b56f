# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Denoising from noise to chunk, for training and for export alike."""

from __future__ import annotations

import copy

import torch

from flow_rl.flows import cosine_levels, ddim_transition, level_time, target_to_velocity, velocity_to_target
from flow_rl.flows.times import TimeLaw
from flow_rl.nn import VelocityField
from flow_rl.utils.check import require

from .sampler import FlowSampler, SamplerSettings


class DenoisingSampler(FlowSampler):
    """K steps of DDIM down the levels of a cosine schedule, deterministic when played (DPPO, arXiv 2409.00588).

    Noise and chunk are read from a velocity field on the straight path, whose backbone predicts the noise; see
    :mod:`flow_rl.flows.diffusion`. Chunks that it points at are bounded, and the noise is what remains.
    """

    plain = "eps"

    def __init__(
        self,
        velocity: VelocityField,
        num_steps: int,
        clip: float | None,
        score_clip: float,
        settings: SamplerSettings,
    ):
        """Build the sampler.

        Args:
            velocity: The velocity field.
            num_steps: Number K of steps.
            clip: Bound on the chunk that a step points at; None for no bound.
            score_clip: Not used; nothing adds a score here.
            settings: Number of levels N, and steps that a frozen copy of the velocity field takes.
        """
        super().__init__(velocity, num_steps, clip, score_clip, settings)
        require(
            settings.levels >= num_steps,
            "agent.actor.sampler.levels",
            settings.levels,
            f"at least agent.actor.num_flow_steps = {num_steps}",
            "use 100, the default, or take fewer steps.",
        )
        require(
            0 <= settings.frozen_steps < num_steps,
            "agent.actor.sampler.frozen_steps",
            settings.frozen_steps,
            f"at least 0 and less than agent.actor.num_flow_steps = {num_steps}",
            "use 0, with which all steps learn.",
        )
        self.num_levels, self.frozen_steps = settings.levels, settings.frozen_steps
        self.register_buffer("levels", cosine_levels(settings.levels), persistent=False)
        own = torch.tensor([self.level_of(i, num_steps) for i in range(num_steps + 1)])
        self.register_buffer("step_levels", self.levels[own], persistent=False)
        self.frozen = copy.deepcopy(velocity).requires_grad_(False) if self.frozen_steps > 0 else None

    def level_of(self, i: int, num_steps: int) -> int:
        """Level of the state before step i of num_steps, evenly spaced from near N down to 1; 0 after the last step.

        The first state is pure noise, as if its level were N (the paper's code).
        """
        if i == num_steps:
            return 0
        return (num_steps - 1 - i) * (self.num_levels // num_steps) + 1

    def end(self, x: torch.Tensor, level: torch.Tensor, latent: torch.Tensor, frozen: bool) -> torch.Tensor:
        """Chunk (..., D) that states (..., D) at levels (..., 2) point at, given latents (..., L)."""
        t = level_time(level)
        x = x / level.sum(dim=-1, keepdim=True)
        velocity = self.velocity(x, t, latent)
        if self.frozen is not None and frozen:
            velocity = self.frozen(x, t, latent)
        return velocity_to_target(velocity, x, t).clamp(-self.clip, self.clip)

    def step(self, x: torch.Tensor, latent: torch.Tensor, i: int, num_steps: int) -> torch.Tensor:
        """State (B, D) after the step i of num_steps, without noise."""
        level = self.levels[self.level_of(i, num_steps)]
        following = self.levels[self.level_of(i + 1, num_steps)]
        frozen = i * self.num_steps < self.frozen_steps * num_steps
        return ddim_transition(x, self.end(x, level, latent, frozen), level, following, 0.0)[0]

    def between(self, noise: torch.Tensor, target: torch.Tensor, i: int, num_steps: int) -> torch.Tensor:
        """State (B, D) before the step i of num_steps that noise and chunk make at its level."""
        level = self.levels[self.level_of(i, num_steps)]
        return level[0] * target + level[1] * noise

    def transitions(
        self, x: torch.Tensor, latent: torch.Tensor, first: int, last: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and deviations of the stochastic steps (eta = 1) first .. last - 1, all frozen or none.

        Args:
            x: States before these steps, shape (B, last - first, D).
            latent: Shape (B, 1, L).
            first: First step.
            last: The step after the last.

        Returns:
            Means (B, last - first, D) and deviations (last - first, 1), zero where the step leads to level 0.
        """
        level, following = self.step_levels[first:last], self.step_levels[first + 1 : last + 1]
        return ddim_transition(x, self.end(x, level, latent, first < self.frozen_steps), level, following, 1.0)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity (..., D) towards the bounded chunk, at states and times of the straight path."""
        end = velocity_to_target(self.velocity(x, t, latent), x, t).clamp(-self.clip, self.clip)
        return target_to_velocity(end, x, t)

    def states(self, latent: torch.Tensor, noise: torch.Tensor, num_steps: int | None = None) -> torch.Tensor:
        """States x_0 .. x_K on the straight path, where steps of DDIM are steps of Euler, shape (K + 1, B, D)."""
        num_steps = num_steps or self.num_steps
        scales = [self.levels[self.level_of(i, num_steps)].sum() for i in range(num_steps + 1)]
        return super().states(latent, noise, num_steps) / torch.stack(scales)[:, None, None]

    def times(self) -> torch.Tensor:
        """Flow times (K, 1) at which the steps begin."""
        return level_time(self.step_levels[:-1])

    def training_times(self, num: int, law: TimeLaw) -> torch.Tensor:
        """Flow times (num, 1) of levels 1 .. N, all alike; the law of a flow's times is not used."""
        return level_time(self.levels[torch.randint(1, self.num_levels + 1, (num,), device=self.levels.device)])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Freeze what a state holds that has no frozen steps."""
        frozen = prefix + "frozen."
        if self.frozen is not None and not any(key.startswith(frozen) for key in state_dict):
            own = prefix + "velocity."
            learnt = {key.removeprefix(own): value for key, value in state_dict.items() if key.startswith(own)}
            state_dict |= {frozen + name: value for name, value in learnt.items()}
        super()._load_from_state_dict(state_dict, prefix, *args)
