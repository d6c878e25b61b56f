# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The deterministic flow from noise to chunk, for training and for export alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from flow_rl.flows import interpolate, score_drift, time_grid
from flow_rl.flows.times import TimeLaw, sample_times
from flow_rl.nn import VelocityField
from flow_rl.utils.check import require


@dataclass
class SamplerSettings:
    """How chunks are made of noise."""

    kind: Literal["flow", "denoising"] = "flow"
    """Euler's steps along a flow, or steps of DDIM down a cosine schedule of noise, as in DPPO."""

    levels: int = 100
    """Levels N of noise from which denoising is learnt, at least `num_flow_steps`; steps are spread over them evenly.

    DPPO takes 100 with 5 steps for furniture and from pixels, and elsewhere 20 with 20 steps."""

    frozen_steps: int = 0
    """First steps of denoising that stay as they were pretrained, so that fewer learn; for fine-tuning only, and not
    from pixels."""


class ScoreDrift(nn.Module):
    """Adds alpha_i times the score to the velocity in step i (ScoRe-Flow, arXiv 2604.10962); alpha is zero at first.

    The coefficients belong to the state: a policy flows as it was left wherever a checkpoint is loaded.
    """

    def __init__(self, num_steps: int, clip: float):
        """Begin without score.

        Args:
            num_steps: Number K of steps, each with its own coefficient.
            clip: Bound on each coordinate of the score.
        """
        super().__init__()
        require(clip > 0, "agent.actor.score_clip", clip, "> 0", "use 10, the default.")
        self.num_steps, self.clip = num_steps, float(clip)
        self.register_buffer("coefs", torch.zeros(num_steps))

    def forward(self, velocity: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Drift (..., D) of velocities and states (..., D) at times (..., 1)."""
        alpha = self.coefs[(t * self.num_steps + 1e-4).long()]
        return score_drift(velocity, x, t, alpha, self.clip)

    def set(self, coefs: list[float] | torch.Tensor) -> None:
        """Take over coefficients alpha(i / N), i = 0 .. N - 1, interpolating where N is not K."""
        self.coefs.copy_(self.at_steps(coefs))

    def at_steps(self, coefs: list[float] | torch.Tensor) -> torch.Tensor:
        """Coefficients (K) from those at i / N, shape (N), between which they are interpolated where N is not K."""
        coefs = torch.as_tensor(coefs, device=self.coefs.device)
        if len(coefs) == self.num_steps:
            return coefs
        points = torch.cat([coefs, coefs.new_zeros(1)])
        place = time_grid(self.num_steps, points.device).squeeze(-1) * (len(points) - 1)
        below = place.long()
        return torch.lerp(points[below], points[below + 1], place - below)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Interpolate the coefficients for another K; states from before they belonged to it lack them."""
        state_dict[prefix + "coefs"] = self.at_steps(state_dict.get(prefix + "coefs", self.coefs))
        super()._load_from_state_dict(state_dict, prefix, *args)


class FlowSampler(nn.Module):
    """K Euler steps along the drift. What :meth:`forward` needs compiles to TorchScript and exports to ONNX."""

    plain = "v"
    """What the backbone predicts where the policy's setting `prediction` is `v`."""

    def __init__(
        self,
        velocity: VelocityField,
        num_steps: int,
        clip: float | None,
        score_clip: float,
        settings: SamplerSettings | None = None,
    ):
        """Build the sampler.

        Args:
            velocity: The velocity field.
            num_steps: Number K of steps.
            clip: Bound on the state after each step; None for no bound.
            score_clip: Bound on the score.
            settings: What other kinds of samplers are told.
        """
        super().__init__()
        field = "agent.actor."
        require(num_steps >= 1, field + "num_flow_steps", num_steps, "an integer >= 1", "use 4, the default.")
        require(clip is None or clip > 0, field + "intermediate_clip", clip, "> 0 or null", "use null for no bound.")
        self.velocity = velocity
        self.score = ScoreDrift(num_steps, score_clip)
        self.num_steps, self.clip = num_steps, math.inf if clip is None else float(clip)

    def times(self) -> torch.Tensor:
        """Flow times (K, 1) at which the steps begin."""
        return time_grid(self.num_steps, self.score.coefs.device)

    def compared(self) -> str:
        """What pretraining compares, as :func:`flow_rl.objectives.flow_matching_loss` calls it."""
        return "x" if self.velocity.prediction == "x" else self.plain

    def training_times(self, num: int, law: TimeLaw) -> torch.Tensor:
        """Random flow times (num, 1) at which pretraining compares."""
        return sample_times(num, law, device=self.score.coefs.device)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity plus the score drift of the step that contains the time, shape (..., D)."""
        return self.score(self.velocity(x, t, latent), x, t)

    def step(self, x: torch.Tensor, latent: torch.Tensor, i: int, num_steps: int) -> torch.Tensor:
        """State (B, D) after the step i of num_steps."""
        t = torch.full_like(x[:, :1], i / num_steps)
        return (x + self.drift(x, t, latent) / num_steps).clamp(-self.clip, self.clip)

    def between(self, noise: torch.Tensor, target: torch.Tensor, i: int, num_steps: int) -> torch.Tensor:
        """State (B, D) before the step i of num_steps of a flow from this noise that ends in this chunk."""
        return interpolate(noise, target, torch.full_like(noise[:, :1], i / num_steps))

    def forward(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Normalised chunk in [-1, 1], shape (B, D), from a latent (B, L) and noise (B, D).

        Where a former chunk is given, states are written over after each step by what they would be on the way to it,
        by shares `weights` in [0, 1]; both have shapes that broadcast to (B, D).
        """
        x = noise
        for i in range(self.num_steps):
            x = self.step(x, latent, i, self.num_steps)
            if former is not None and weights is not None:
                known = self.between(noise, former, i + 1, self.num_steps)
                x = (1.0 - weights) * x + weights * known  # exact at both ends
        return x.clamp(-1.0, 1.0)

    def states(self, latent: torch.Tensor, noise: torch.Tensor, num_steps: int | None = None) -> torch.Tensor:
        """States x_0 .. x_K on the way, shape (K + 1, B, D), of another number of steps where one is given."""
        num_steps = num_steps or self.num_steps
        states = [noise]
        for i in range(num_steps):
            states.append(self.step(states[-1], latent, i, num_steps))
        return torch.stack(states)
