# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of the learners that follow a clipped surrogate, and of those among them that explore with chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl.utils.check import require

from .settings import PREFIX, OnPolicySettings


@dataclass
class PpoSettings(OnPolicySettings):
    """Settings of :class:`flow_rl.algorithms.ppo_base.PpoAlgorithm`."""

    clip_param: float = 0.01
    """Half-width of the trust region of the ratio."""

    target_kl: float | None = 1.0
    """Divergence from the old policy after which no further pass begins; None for never."""

    bc_coef: float = 0.0
    """Weight of the pull towards the policy that fine-tuning began with; 0 leaves it out."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("clip_param", remedy="use the default.")
        self.at_least("bc_coef", 0, "use 0 to switch it off.")
        limit = self.target_kl
        require(limit is None or limit >= 0, PREFIX + "target_kl", limit, ">= 0 or null", "use null for no bound.")


@dataclass
class ChainSettings(PpoSettings):
    """Settings of :class:`flow_rl.algorithms.chain_ppo.ChainPpo`."""

    noise_clip: float = 3.0
    """Bound on a sample's distance from its mean, in standard deviations."""

    ratio: Literal["chain", "step"] = "chain"
    """Whether the likelihood averaged over the whole chain has one ratio, or each step has a ratio and a trust region
    of its own, as in DPPO (arXiv 2409.00588)."""

    step_discount: float = 1.0
    """Factor of the advantage for each step before the last, in [0, 1], where steps have ratios of their own; DPPO
    takes 0.99, or 0.9 for furniture."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("noise_clip", remedy="use 3.")
        self.within_unit("step_discount", remedy="use 1: all steps count alike.")
