# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of DPPO."""

from __future__ import annotations

from dataclasses import dataclass

from flow_rl.utils.check import require

from .ppo_settings import PpoSettings
from .settings import PREFIX


@dataclass
class DppoSettings(PpoSettings):
    """Settings of :class:`flow_rl.algorithms.dppo.Dppo`; numbers are those of the paper's code unless noted.

    How many of the K steps learn is said by the policy, K - `agent.actor.sampler.frozen_steps`. The paper lets 10 of 20
    learn, and all 5 for furniture and from pixels; ours all 4.
    """

    learning_rate: float = 1.0e-4
    """Learning rate of the policy at the start; the paper's 1e-5 for furniture and down to 1e-5 from pixels."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration, the paper's for locomotion; furniture falls to a tenth."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration."""

    target_kl: float | None = 1.0
    """Divergence from the old policy after which no further pass begins; None for never. The paper looks after each
    mini-batch, ours after each pass."""

    clip_param: float = 0.01
    """Half-width of the trust region of the last step's likelihood ratio; log-likelihoods are averages over chunks."""

    clip_param_base: float = 0.001
    """The same of the first step that learns; the paper's for manipulation, and 0.01 for locomotion."""

    clip_rate: float = 3.0
    """How late the half-width grows from the one to the other: as exp(clip_rate j / (K' - 1)) over steps j."""

    gamma_denoising: float = 0.99
    """Factor of the advantage for each step before the last, in [0, 1]; the paper's 0.9 for furniture."""

    min_sampling_std: float = 0.1
    """Least deviation of a step in exploring, in normalised action units; the paper's 0.04 for furniture."""

    min_log_prob_std: float = 0.1
    """Least deviation of a step where its likelihood is judged."""

    noise_clip: float = 3.0
    """Bound on a sample's distance from its mean, in standard deviations."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("clip_param_base", "clip_rate", "min_sampling_std", "noise_clip", remedy="use the default.")
        require(
            self.clip_param >= self.clip_param_base,
            PREFIX + "clip_param",
            self.clip_param,
            f"at least {PREFIX}clip_param_base = {self.clip_param_base}",
            "raise clip_param, or lower clip_param_base.",
        )
        self.within_unit("gamma_denoising", remedy="use 0.99, or 1: all steps count alike.")
        self.at_least(
            "min_log_prob_std", 0.06, "use 0.1: below 0.054, likelihoods meet a bound and most of them teach nothing."
        )
        require(
            self.min_sampling_std <= self.min_log_prob_std,
            PREFIX + "min_sampling_std",
            self.min_sampling_std,
            f"at most {PREFIX}min_log_prob_std = {self.min_log_prob_std}",
            "lower min_sampling_std: samples far beyond the deviation that judges them teach nothing.",
        )
