# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of PPO on a cloned Gaussian policy."""

from __future__ import annotations

from dataclasses import dataclass

from flow_rl.utils.check import require

from .ppo_settings import PpoSettings
from .settings import PREFIX


@dataclass
class BcGaussianSettings(PpoSettings):
    """Settings of :class:`flow_rl.algorithms.bc_gaussian.BcGaussian`; numbers are DPPO's (arXiv 2409.00588)."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration."""

    clip_param: float = 0.01
    """Half-width of the trust region of the likelihood ratio; log-likelihoods are averages over the chunk."""

    entropy_coef: float = 0.0
    """Weight of the entropy, itself an average over the chunk; up to 0.01 in DPPO."""

    std: float = 0.1
    """Deviation of each coordinate at the start, in normalised action units; 0.04 for furniture."""

    std_min: float = 0.01
    """Least deviation."""

    std_max: float = 0.2
    """Greatest deviation."""

    noise_clip: float = 3.0
    """Bound on a chunk's distance from its mean, in standard deviations."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("std_min", "noise_clip", remedy="use the default.")
        self.at_least("entropy_coef", 0, "use 0 to switch it off.")
        require(
            self.std_min < self.std < self.std_max,
            PREFIX + "std",
            self.std,
            f"between {PREFIX}std_min = {self.std_min} and {PREFIX}std_max = {self.std_max}",
            "use 0.1 between 0.01 and 0.2.",
        )
