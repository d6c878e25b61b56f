# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of QAM and TRQAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl.utils.check import require

from .settings import PREFIX, OffPolicySettings


@dataclass
class QamSettings(OffPolicySettings):
    """Settings of :class:`flow_rl.algorithms.qam.Qam`; numbers follow the papers' code unless noted.

    Its runs take 1.5 million steps of the optimiser, one for each control step; ours take thousands.
    """

    lam: float = 0.5
    """Weight of longer returns in TD(lambda), in [0, 1]; the paper's is 0, for many more steps of the critic."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start; the paper's is 3e-4."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration; a half cosine leads there."""

    learning_rate: float = 3.0e-4
    """Learning rate of the policy, and of the behaviour, at the start."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration; a half cosine leads there. The paper's stays."""

    bootstrap: Literal["min", "mean"] | float = 0.5
    """How the members' values of the next decision become one: the least, the mean, or a number of the members'
    standard deviations, at least 0, by which the value lies below the mean."""

    disjoint: bool = False
    """Whether each member learns from trajectories of its own."""

    actor_batch_size: int = 128
    """States per step of the policy, each of which gets one path; the paper's 256 take twice as long."""

    num_sde_steps: int = 10
    """Steps K of the noisy paths on which the policy learns, at least 2; it is played with `num_flow_steps`.

    The fewer, the more the policy overshoots what `inverse_temperature` says: where actions spread by s, in half ranges
    of the demonstrated ones, about 3 / s steps are exact. At K = 10 the change is twice as large for s = 0.1, seven
    times for s = 0.05; at K = 4 it is 12 and 58 times."""

    inverse_temperature: float = 30.0
    """Factor eta of the values in the density exp(eta Q) by which the behaviour is tilted, at least 0.

    The paper's is 0.3 to 30, for values of some hundred where ours are at most the number of successes. With
    `kl_budget` it is what learning begins with."""

    behaviour: Literal["replay", "pretrained"] = "replay"
    """Whether what is tilted goes on cloning the replay, as in the paper, or stays the policy that learning began with.

    The former follows the policy, as slowly as target networks; the latter bounds how far the policy can go."""

    kl_budget: float | None = None
    """Bound on the KL divergence of the policy's paths from the behaviour's [nats per control step of a chunk], held by
    dividing eta by a multiplier (TRQAM; 0.5 to 1 there); null leaves eta as it is."""

    dual_rate: float = 0.03
    """Change of the multiplier's logarithm in a step, where the divergence is zero, or twice the budget or more.

    The paper's moves by 0.01 of the excess itself, from 1 up to 100: slower the more it has grown."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("num_sde_steps", 2, "use 10; the last step is the behaviour's.")
        self.at_least("inverse_temperature", 0, "use 0 to stay with the behaviour.")
        if self.kl_budget is not None:
            require(self.kl_budget > 0, PREFIX + "kl_budget", self.kl_budget, "> 0 or null", "use 1, or null for QAM.")
            self.above_zero("inverse_temperature", remedy="with kl_budget it is what learning begins with: use 30.")
        self.above_zero("dual_rate", remedy="use 0.03.")
