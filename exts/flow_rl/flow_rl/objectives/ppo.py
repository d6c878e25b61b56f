# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Proximal policy optimisation on likelihood ratios (Schulman et al., arXiv 1707.06347)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass
class PpoSurrogate:
    """The clipped surrogate and what it tells about the step."""

    loss: torch.Tensor
    """Negative clipped objective, averaged over the batch."""
    ratio: torch.Tensor
    """Likelihood ratios new / old, of the shape of the likelihoods."""
    kl: torch.Tensor
    """Estimate E[(rho - 1) - log rho] of the divergence from the old policy (k3 of Schulman, 2020)."""
    clip_fraction: torch.Tensor
    """Share of ratios outside the trust region."""


def ppo_surrogate(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    advantage: torch.Tensor,
    clip: float | torch.Tensor,
    *,
    log_ratio_bound: float = 1.0,
    straight_through: bool = False,
    negative: Literal["clip", "spo"] = "clip",
) -> PpoSurrogate:
    """Clipped surrogate -E min(rho A, clip(rho, 1 - e, 1 + e) A), and its asymmetric variant.

    Args:
        log_prob: Present log-likelihoods, shape (B,), or (B, K) of transitions that are each held in the trust region.
        old_log_prob: Log-likelihoods at collection, of the same shape.
        advantage: Advantages, shape (B,), or (B, 1).
        clip: Half-width e of the trust region, one for all or, shape (K,), one for each transition.
        log_ratio_bound: The logarithm of the ratio is clamped to plus or minus this. ReinFlow clamps both averaged
            log-likelihoods to [-1, 1] instead, which silences all gradients once the noise is smaller than about 0.05.
        straight_through: Whether gradients pass that bound as if it were not there.
        negative: What holds negative advantages: the same clip, or "spo", rho A - |A| / (2 e) (rho - 1)^2, which pulls
            a ratio back from wherever it is (SPO, arXiv 2401.16025; FPO++'s ASPO, arXiv 2602.02481).
    """
    difference = log_prob - old_log_prob
    log_ratio = difference.clamp(-log_ratio_bound, log_ratio_bound)
    if straight_through:
        log_ratio = difference + (log_ratio - difference).detach()
    ratio = log_ratio.exp()
    objective = torch.min(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)
    if negative == "spo":
        pulled = ratio * advantage - advantage.abs() / (2.0 * clip) * (ratio - 1.0).square()
        objective = torch.where(advantage < 0, pulled, objective)
    loss = -objective.mean()
    with torch.no_grad():
        kl = (ratio - 1.0 - log_ratio).mean()
        clip_fraction = ((ratio - 1.0).abs() > clip).float().mean()
    return PpoSurrogate(loss, ratio.detach(), kl, clip_fraction)


def value_loss(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error of the critic, not clipped."""
    return 0.5 * (values - returns).square().mean()
