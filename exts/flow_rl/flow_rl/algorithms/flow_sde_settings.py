# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of flow-SDE."""

from __future__ import annotations

from dataclasses import dataclass

from .ppo_settings import ChainSettings


@dataclass
class FlowSdeSettings(ChainSettings):
    """Settings of :class:`flow_rl.algorithms.flow_sde.FlowSde`.

    Published ones are those of models of three billion parameters, with a learning rate of 5e-6 (pi-RL, arXiv
    2510.25889); those here are ScoRe-Flow's, whose likelihoods are averages as well.
    """

    noise_level: float = 0.2
    """Level a of the noise g(t) = a sqrt((1 - t) / max(t, 1 / K)), in normalised action units: the first step's
    deviation. pi-RL takes 0.5 and Flow-GRPO (arXiv 2505.05470) 0.7; with 0.2 and K = 4 the steps' deviations are 0.2,
    0.17, 0.1 and 0.06, near to ScoRe-Flow's."""

    final_noise_level: float = 0.2
    """The same at the last iteration; a half cosine leads there. pi-RL may go from 0.7 to 0.3."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        remedy = "use 0.2; without noise no step has a likelihood."
        self.above_zero("noise_level", "final_noise_level", remedy=remedy)
