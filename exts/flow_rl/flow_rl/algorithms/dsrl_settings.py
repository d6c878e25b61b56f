# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of DSRL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl.utils.check import require

from .settings import PREFIX, OffPolicySettings


@dataclass
class DsrlSettings(OffPolicySettings):
    """Settings of :class:`flow_rl.algorithms.dsrl.Dsrl`; how noise is bounded is said by `agent.actor.prior`."""

    variant: Literal["NA", "SAC"] = "NA"
    """Whether the critic is one of chunks, distilled into one of noise, or one of noise from the beginning."""

    lam: float = 0.0
    """Weight of longer returns in TD(lambda), in [0, 1].

    Entropies of the decisions on the way are not part of such returns, as they are in the paper's, which are 1-step."""

    time_limit_is_terminal: bool = True
    """Whether a time limit counts as a failure, as in the paper's code."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns; the paper's code begins with 1501 to 20001 decisions."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critics at the start; the paper's is 3e-4, for networks of up to 2048 and more steps."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration; a half cosine leads there."""

    learning_rate: float = 1.0e-3
    """Learning rate of the noise's Gaussian at the start; the paper's is 3e-4, for 20 steps per decision."""

    final_learning_rate: float = 3.0e-4
    """The same at the last iteration; a half cosine leads there."""

    max_grad_norm: float | None = None
    """Bound on the gradient norm, for each group of parameters; None for no bound."""

    disjoint: bool = False
    """Whether each member learns from trajectories of its own."""

    value_range: list[float] | None = None
    """Bounds of bootstrapped values; None, because soft values know none."""

    num_actor_updates: int = 64
    """Steps of the noise's Gaussian per iteration; the paper's are as many as the critic's, and alternate with them."""

    actor_batch_size: int = 256
    """States per step of the Gaussian and of the distillation."""

    num_distillation_updates: int = 64
    """Steps per iteration in which the critic of noise learns from that of chunks, before the actor learns from it.

    The paper's code takes 10 after 20 of the others. Of the NA version alone."""

    distillation_own_fraction: float = 0.5
    """Share of their noises that the Gaussian draws; the others are standard normal, in the paper's code all.

    The critic is asked about the Gaussian's own noise, which lies elsewhere than N(0, I) after a while."""

    initial_temperature: float = 0.01
    """Weight alpha of the entropy at the start, above 0; the paper's is 1, for rewards of -1 per step."""

    temperature_learning_rate: float = 3.0e-3
    """Learning rate of log alpha; the paper's is 3e-4, for 20 steps per decision."""

    target_entropy: float = 0.0
    """Entropy per coordinate of w / b that alpha holds; 0.69 is that of uniform noise in the box."""

    backup_entropy: bool = True
    """Whether values contain the entropy of later decisions, as in the paper."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("initial_temperature", remedy="use 0.01, the default.")
        self.at_least("temperature_learning_rate", 0.0, "use 0 to keep the initial temperature.")
        self.at_least("num_distillation_updates", 1, "use the default of num_distillation_updates.")
        self.within_unit("distillation_own_fraction", remedy="use 0.5, the default.")
        require(
            self.value_range is None or not self.backup_entropy,
            PREFIX + "value_range",
            self.value_range,
            "null, because values contain entropies",
            "set it to null, or backup_entropy=false.",
        )
