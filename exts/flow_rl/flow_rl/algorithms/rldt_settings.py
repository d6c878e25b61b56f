# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of RLDT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl.kernels.backend import Backend
from flow_rl.kernels.svgd import Kernel, Normalization
from flow_rl.utils.check import require

from .settings import PREFIX, ImitationSettings


@dataclass
class RldtSettings(ImitationSettings):
    """Settings of :class:`flow_rl.algorithms.rldt.Rldt`; numbers follow the paper's code unless noted."""

    lam: float = 0.5
    """Weight of longer returns in TD(lambda), in [0, 1]."""

    time_limit_is_terminal: bool = True
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration; a half cosine leads there."""

    learning_rate: float = 3.0e-4
    """Learning rate of the policy at the start; the paper's is 2e-5, for runs of 10 to 500 million control steps."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration; a half cosine leads there."""

    max_grad_norm: float | None = None
    """Bound on the gradient norm, for the actor's and the critic's parameters each; None for no bound."""

    num_particles: int = 8
    """Chunks P drawn per state, at least 1."""

    temperature: float = 0.001
    """Weight of the repulsion between particles, at least 0; with `normalization="grad_norm"` times |grad Q|."""

    kernel: Kernel = "rbf"
    """Kernel of the Stein field; "delta" is the plain critic gradient."""

    bandwidth: float | None = None
    """Bandwidth h of the kernel; None for the median heuristic."""

    normalization: Normalization = "grad_norm"
    """What the gradient's mean norm does: nothing, divide the gradient, or multiply the temperature."""

    preconditioner: Literal["none", "covariance"] = "none"
    """What the field is multiplied by: nothing, or the covariance of the particles.

    The latter moves the policy only in directions in which it varies by itself, which its own episodes tell the critic
    about: no other exploration is needed."""

    backend: Backend = "auto"
    """Implementation of the field."""

    consistency_coef: float = 0.1
    """Weight c of straightness: landing points shall be where the particle ends; the paper's is 0.5."""

    reference_coef: float = 0.04
    """Weight b of the distance from the reference's velocity; the paper's is 0.2.

    Both oppose the field, whose length the kernel and 1 / P set: smaller weights are larger steps, for short runs."""

    reference: Literal["iteration", "pretrained"] = "iteration"
    """Whether that is the policy at the beginning of each iteration, as in the paper, or the one learning began with.

    The latter bounds how far small errors of the critic, which the replay repeats, can lead over many iterations."""

    reference_budget: float | None = None
    """Mean squared difference of velocity and reference, per coordinate, that is held by raising `reference_coef`.

    Null leaves that weight as it is. A budget bounds the whole way from the pretrained policy, which a weight in a sum
    of losses does not (TRQAM, arXiv 2605.27079); the log calls it `policy_distance`."""

    exploration: Literal["min_extrp", "gaussian"] = "min_extrp"
    """Noise in proportion to the remaining curvature of the flow, or Gaussian noise of one size."""

    exploration_min_time: float = 0.5
    """Earliest flow time from which "min_extrp" extrapolates, in [0, 1)."""

    exploration_std: float = 0.15
    """Factor of the curvature in "min_extrp", or the deviation of "gaussian" noise in normalised action units.

    The paper's factor is 1 at K = 8 to 32, whose last steps bend little; at K = 4 such noise is too much."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("num_particles", 2 if self.preconditioner == "covariance" else 1, "use 8; a covariance needs 2.")
        for name in ("temperature", "consistency_coef", "reference_coef", "exploration_std"):
            self.at_least(name, 0, "use 0 to switch it off.")
        budget = self.reference_budget
        valid = budget is None or (budget > 0 and self.reference_coef > 0 and self.reference == "pretrained")
        remedy = "set reference=pretrained, and reference_coef to a weight to begin with."
        require(valid, PREFIX + "reference_budget", budget, "null, or > 0 beside reference=pretrained", remedy)
        low, bandwidth = self.exploration_min_time, self.bandwidth
        require(0.0 <= low < 1.0, PREFIX + "exploration_min_time", low, "[0, 1)", "use 0.5.")
        valid = bandwidth is None or bandwidth > 0
        require(valid, PREFIX + "bandwidth", bandwidth, "> 0 or null", "use null: the median.")
