# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of SAC Flow."""

from __future__ import annotations

from dataclasses import dataclass, field

from flow_rl.utils.check import require

from .settings import PREFIX, ImitationSettings


@dataclass
class SacFlowSettings(ImitationSettings):
    """Settings of :class:`flow_rl.algorithms.sac_flow.SacFlow`.

    The paper's runs take a million updates in one environment; the rates here are for about a thousand.
    """

    lam: float = 0.5
    """Weight of longer returns in TD(lambda), in [0, 1]; the paper's is 0.

    Entropy is added where returns end in a value, not on the way there: only 0 is a soft return in the strict sense."""

    time_limit_is_terminal: bool = True
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start, as in the paper."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration; a half cosine leads there."""

    learning_rate: float = 3.0e-4
    """Learning rate of the policy and of its noise at the start, as in the paper."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration; a half cosine leads there."""

    value_range: list[float] | None = None
    """Bounds of bootstrapped values; None where they contain an entropy, which may lead anywhere."""

    imitation_coef: float = 0.05
    """Weight of flow matching on chunks of the replay that led to a success; 0 leaves it out.

    The paper's fine-tuning adds 100 times the mean squared distance of chunks from those of all the replay and the
    demonstrations, and is then mostly cloning."""

    actor_batch_size: int = 256
    """States per step of the policy, one chain each; the paper's is 512."""

    temperature: float = 1.0e-3
    """Weight alpha of the path's entropy at the start, for returns of about 1; the paper's is 0.2, for thousands."""

    learn_temperature: bool = True
    """Whether alpha moves until the entropy is that of `target_std`."""

    temperature_learning_rate: float = 1.0e-2
    """Learning rate of log alpha; the paper's is 1e-3."""

    target_std: float = 0.1
    """Geometric mean of the steps' standard deviations, in normalised action units, that alpha leads to.

    It says what the target entropy of the path is, which for every K and chunk size would be another number. The
    paper's 0 is 0.17 at K = 4."""

    entropy_in_backup: bool = True
    """Whether values contain the entropy, as far as it exceeds the target; needs `value_range` null, no dueling critic.

    Without the excess alone, each decision before a success would be paid or fined. The paper's target is 0."""

    std_min: float = 0.03
    """Least noise of a step, in normalised action units; the paper's is 0.007."""

    std_max: float = 0.3
    """Greatest noise of a step; the paper's is 7.4, before actions are squashed."""

    noise_hidden_dims: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the noise predictor, which sees time and observation; the paper's, [512, 512], sees no time."""

    noise_clip: float = 3.0
    """Bound on a sample's distance from its mean, in standard deviations; the paper has none."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("temperature", 0, "use 0 beside learn_temperature=false to leave the entropy out.")
        self.at_least("temperature_learning_rate", 0, "learning rates are not negative.")
        if self.learn_temperature:
            self.above_zero("temperature", remedy="use 1e-3, or set learn_temperature=false.")
        self.above_zero("std_min", "noise_clip", remedy="use std_min 0.03 and noise_clip 3.")
        require(
            self.std_min < self.target_std < self.std_max,
            PREFIX + "target_std",
            self.target_std,
            f"between {PREFIX}std_min = {self.std_min} and {PREFIX}std_max = {self.std_max}",
            "move the bounds: what lies outside is never reached, and alpha would grow or fall for ever.",
        )
        require(
            self.value_range is None or not self.entropy_in_backup,
            PREFIX + "value_range",
            self.value_range,
            "null while values contain an entropy",
            f"set it to null, or {PREFIX}entropy_in_backup=false.",
        )
