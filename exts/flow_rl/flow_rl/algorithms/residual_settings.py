# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of the off-policy residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .settings import OffPolicySettings


@dataclass
class ResidualSettings(OffPolicySettings):
    """Settings of :class:`flow_rl.algorithms.residual.Residual`; numbers follow ResFiT's code unless noted.

    It takes one decision per control step, in one environment, and five steps of the optimiser for each. Here decisions
    are chunks of many environments, with a step of the optimiser for several of them: rates and batches are larger.
    """

    learning_rate: float = 3.0e-4
    """Learning rate of the correction at the start; the paper's is 1e-6, for 300 000 steps."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration; a half cosine leads there."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start; the paper's is 1e-4, for 1.2 million steps."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns, of random corrections; the paper's are 10 000 decisions."""

    window: int = 3
    """Decisions in a window: returns are sums of up to so many rewards and the value that follows; the paper's 3."""

    lam: float = 1.0
    """Weight of longer returns in TD(lambda), in [0, 1]; at 1 they reach to the end of the window, as the paper's."""

    bootstrap: Literal["min", "mean"] | float = "min"
    """How the drawn members' values of the next decision become one; see the base."""

    bootstrap_members: int | None = 2
    """Members drawn at random for each next decision, of `agent.critic.num_members`; None for all."""

    disjoint: bool = False
    """Whether each member learns from trajectories of its own; the paper's share their batches."""

    actor_batch_size: int = 256
    """States per step of the correction."""

    exploration_std: float = 0.05
    """Deviation of the noise on what is executed, in normalised action units; beside a scale of 0.1."""

    random_scale: float = 0.2
    """Half-width of the uniform corrections that are played while the critic warms up, in normalised action units."""

    target_std: float = 0.05
    """Deviation of the noise on the chunks that returns end with, which smooths values; in the same units."""

    target_clip: float = 0.3
    """Bound on that noise; DrQ-v2's (arXiv 2107.09645)."""

    progressive: int = 0
    """Iterations, from the first, over which the share of decisions that are corrected rises from 0 to 1.

    Policy Decorator's schedule (arXiv 2412.13630), for corrections that would harm before they help; 0, as in ResFiT,
    corrects all."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        for name in ("exploration_std", "target_std", "progressive"):
            self.at_least(name, 0, "use 0 to switch it off.")
        self.at_least("random_scale", 0, "use 0 to play the base alone while the critic warms up.")
        self.above_zero("target_clip", remedy="use 0.3, the default.")
