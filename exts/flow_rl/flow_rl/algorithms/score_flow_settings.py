# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of ScoRe-Flow and ReinFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flow_rl.utils.check import require

from .ppo_settings import ChainSettings
from .settings import PREFIX


@dataclass
class ScoreFlowSettings(ChainSettings):
    """Settings of :class:`flow_rl.algorithms.score_flow.ScoreFlow`; numbers follow the paper's code unless noted.

    Its runs take 10 to 80 million control steps; the rates here are larger, for about half a million.
    """

    entropy_coef: float = 0.03
    """Weight of the chain's entropy, itself an average over the chain."""

    score_coef: float = 1.0
    """Scale Gamma of the score's coefficient alpha(t) = min((1 - t) g(t) Gamma, 2 Gamma); 0 gives ReinFlow."""

    score_coef_kind: Literal["mlp", "linear", "fixed"] = "mlp"
    """Shape of g(t): a small network that starts at 0.127, a softplus of a line, or 1."""

    learn_score_coef: bool = True
    """Whether g learns, as the paper says; its released locomotion runs left it as it was."""

    std_min: float = 0.08
    """Least exploration noise, in normalised action units."""

    std_max: float = 0.16
    """Greatest exploration noise, in normalised action units."""

    std_schedule: Literal["learn", "learn_decay"] = "learn_decay"
    """Whether the greatest noise stays ("learn") or is held and then lowered ("learn_decay")."""

    std_hold: float = 0.35
    """Share of the iterations for which the greatest noise is held."""

    std_decay: float = 0.7
    """Share of the range std_max - std_min that remains at the last iteration."""

    noise_hidden_dims: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the noise predictor."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.above_zero("std_min", remedy="use 0.08; below 0.05 the likelihood's gradients explode.")
        require(
            self.std_min <= self.std_max,
            PREFIX + "std_min",
            self.std_min,
            f"at most {PREFIX}std_max = {self.std_max}",
            "lower std_min or raise std_max.",
        )
        self.within_unit("std_hold", "std_decay", remedy="use std_hold 0.35 and std_decay 0.7.")
        for name in ("score_coef", "entropy_coef"):
            self.at_least(name, 0, "use 0 to switch it off.")
