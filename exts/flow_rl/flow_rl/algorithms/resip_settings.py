# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of ResiP."""

from __future__ import annotations

from dataclasses import dataclass

from .ppo_settings import PpoSettings


@dataclass
class ResipSettings(PpoSettings):
    """Settings of :class:`flow_rl.algorithms.resip.Resip`; numbers follow the paper's code unless noted.

    It corrects single control steps, of which it takes a thousand million, 700 000 per iteration.
    """

    learning_rate: float = 3.0e-4
    """Learning rate of the correction at the start."""

    final_learning_rate: float = 3.0e-5
    """The same at the last iteration; a half cosine leads there, the paper's to 0."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start; the paper's is 5e-3."""

    final_critic_learning_rate: float = 3.0e-4
    """The same at the last iteration."""

    num_learning_epochs: int = 10
    """Passes over each rollout; the paper's are up to 50 of a single batch."""

    clip_param: float = 0.2
    """Half-width of the trust region of the likelihood ratio; log-likelihoods are sums over the chunk."""

    target_kl: float | None = 0.1
    """Divergence from the old policy after which no further pass begins; None for never."""

    entropy_coef: float = 0.0
    """Weight of the entropy, summed over the chunk; without effect unless `learn_std`."""

    init_std: float = 0.37
    """Deviation of the corrections at the start, in units of `agent.actor.head.scale`; the paper's is exp(-1)."""

    learn_std: bool = False
    """Whether the deviation learns, one number for each coordinate of the chunk, or stays."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("init_std", remedy="use 0.37.")
        self.at_least("entropy_coef", 0, "use 0 to switch it off.")
