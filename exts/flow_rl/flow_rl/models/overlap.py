# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flows that end in chunks which join what is still to be executed of the former ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from flow_rl.utils.check import require

from .sampler import FlowSampler

MAX_GUIDANCE = 5.0
"""Greatest weight of the guidance, beta of arXiv 2506.07339: few steps of integration bear no more."""


@dataclass
class Overlap:
    """What is left of former chunks, and how a flow is bound to it."""

    former: torch.Tensor
    """Normalised actions from now on, shape (B, H * A); what lies beyond their end has no weight."""

    weights: torch.Tensor
    """How much each number is bound to them, in [0, 1], shape (B, H * A)."""

    guided: bool
    """Whether the flow is guided, as real-time chunking does, or written over; see
    :data:`flow_rl.deploy.chunking.METHODS`."""

    def repeat(self, num: int) -> Overlap:
        """The same for ``num`` flows of each observation."""
        return replace(self, former=self.former.repeat(num, 1), weights=self.weights.repeat(num, 1))

    def end(self, sampler: FlowSampler, latent: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Where flows (B, H * A) from an initial state end, given latents (B, L)."""
        if not self.guided:
            return sampler(latent, start, self.former, self.weights)
        return guided_flow(sampler, latent, start, self.former, self.weights)


@torch.inference_mode(False)
def guided_flow(
    sampler: FlowSampler, latent: torch.Tensor, start: torch.Tensor, former: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Where flows end that are guided towards former chunks (real-time chunking, arXiv 2506.07339).

    To the drift of each Euler step is added

        min(beta, (1 - t) / (t r^2)) J^T diag(w) (former - end),    r^2 = (1 - t)^2 / (t^2 + (1 - t)^2),

    where `end` is where the straight line along the drift ends and J its derivative by the state (pseudoinverse
    guidance; Song et al., ICLR 2023). No gradient leads out of it.

    Args:
        sampler: Euler's steps.
        latent: Shape (B, L).
        start: Initial state, shape (B, D).
        former: Normalised actions that are wanted, shape (B, D).
        weights: How much they are, shape (B, D).

    Returns:
        The last state, shape (B, D).

    Raises:
        InputError: If the sampler does not take Euler's steps along a drift.
    """
    kind = getattr(sampler, "plain", "none")
    remedy = "use inpainting, which needs no gradient."
    require(kind == FlowSampler.plain, "chunking", "rtc", "naive or inpainting for a policy that denoises", remedy)
    # tensors of inference mode take no part in gradients; their copies do
    latent, x, former, weights = (tensor.clone() for tensor in (latent, start, former, weights))
    for i in range(sampler.num_steps):
        t = torch.full_like(x[:, :1], i / sampler.num_steps)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            drift = sampler.drift(x, t, latent)
            end = x + (1.0 - t) * drift
            (pull,) = torch.autograd.grad(end, x, weights * (former - end.detach()))
        gain = ((t.square() + (1.0 - t).square()) / (t * (1.0 - t))).clamp(max=MAX_GUIDANCE)
        x = x.detach() + (drift.detach() + gain * pull) / sampler.num_steps
        x = x.clamp(-sampler.clip, sampler.clip)
    return x
