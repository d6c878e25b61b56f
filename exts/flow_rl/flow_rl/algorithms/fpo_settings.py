# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of FPO++ and FPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl.utils.check import require

from .ppo_settings import PpoSettings
from .settings import PREFIX


@dataclass
class FpoSettings(PpoSettings):
    """Settings of :class:`flow_rl.algorithms.fpo.Fpo`; numbers are those of FPO++'s fine-tuning unless noted.

    FPO (arXiv 2507.21053) is ratio "decision", error "noise", times "grid", reduction "mean", clip_param 0.05, and
    huber_delta, log_ratio_bound null and perturbation 0. FPO++ from scratch is negative "spo", times "uniform",
    reduction "root", clip_param 0.05, num_samples 16, huber_delta null, loss_bound 20, log_ratio_bound 10.

    Its runs take 5 to 8 million control steps with a learning rate of 1e-5; those here are larger, for about half a
    million. Reduction, bounds and clip belong together: a sum is as many times a mean as it has terms, and so is the
    logarithm of the ratio.
    """

    clip_param: float = 0.02
    """Half-width of the trust region of the ratio; FPO++ takes 0.01 to 0.03 by task, and 0.05 from scratch."""

    target_kl: float | None = None
    """Mean of rho - 1 - log rho after which no further pass begins; None for never, as published."""

    critic_warmup: int = 1
    """Iterations in which only the critic learns."""

    num_samples: int = 8
    """Pairs P of noise and time at which a decision's loss is compared; from scratch 16 or 32."""

    ratio: Literal["sample", "decision"] = "sample"
    """Whether each pair has a ratio and a trust region (FPO++), or a decision has one, of its mean loss (FPO)."""

    negative: Literal["clip", "spo"] = "clip"
    """What holds negative advantages: the clip, or the pull of SPO, which makes it FPO++'s asymmetric ASPO.

    From scratch FPO++ takes "spo"; it reports that fine-tuning does better without.
    """

    error: Literal["velocity", "noise"] = "velocity"
    """Whether velocities are compared, or the noise that they point back at (FPO), which weighs the loss by t^2."""

    reduction: Literal["rows", "mean", "root"] = "rows"
    """How a chunk's H x A coordinates become one loss: the sum over rows of their means, the mean (FPO), or the sum
    divided by the root of their number (FPO++ from scratch)."""

    huber_delta: float | None = 0.5
    """Error beyond which the loss grows linearly; None for squares. By task 0.1 to 1."""

    loss_bound: float | None = None
    """Bound on losses, old and new, beyond which they say nothing; None for no bound.

    FPO++ bounds the old ones alone, at 4, in some of its fine-tuning, which moves ratios away from 1 before any step.
    """

    log_ratio_bound: float | None = 5.0
    """Bound on the logarithm of the ratio, which gradients pass; None for no bound."""

    times: Literal["uniform", "grid"] = "uniform"
    """Whether times are uniform in [0.005, 0.995] or drawn from those of the flow's steps (FPO)."""

    perturbation: float = 0.02
    """Noise on executed chunks, in normalised action units. From scratch 0.02; the published fine-tuning has none and
    explores by the flow's own noise, of which few steps leave little."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("num_samples", 1, "use 8.")
        self.at_least("perturbation", 0, "use 0 to explore by the flow's own noise alone.")
        for name in ("huber_delta", "loss_bound", "log_ratio_bound"):
            value = getattr(self, name)
            require(value is None or value > 0, PREFIX + name, value, "> 0 or null", "use null to leave it out.")
