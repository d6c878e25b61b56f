# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of RLDT."""

from __future__ import annotations

from typing import Literal

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from .base import FlowAlgorithmBaseCfg, FlowRunnerBaseCfg


@configclass
class QEnsembleCfg(RslRlMLPModelCfg):
    """Settings of :class:`flow_rl.models.QEnsemble`."""

    class_name: str = "flow_rl.models.q_ensemble:QEnsemble"
    """Implementation."""

    num_members: int = 2
    """Members M of the ensemble, at least 1."""

    hidden_dims: list[int] = [256, 256, 256]
    """Widths of each member."""

    activation: str = "swish"
    """Activation, as named by rsl_rl."""

    weight_std: float = 0.1
    """Deviation of the initial weights."""

    obs_normalization: bool = True
    """Whether observations are normalised by their running mean and deviation."""

    dueling: bool = False
    """Whether values are V(s) + A(s, a), each fitted on its own, instead of one network's.

    For long chunks, whose gradient otherwise leads to what is usual in better states, not to what is better. Returns
    then end in V of the next observation, so that no chunks are drawn for them.
    """


@configclass
class RldtAlgorithmCfg(FlowAlgorithmBaseCfg):
    """Settings of :class:`flow_rl.algorithms.rldt.Rldt`; numbers follow the paper's code unless noted."""

    class_name: str = "flow_rl.algorithms.rldt:Rldt"
    """Implementation."""

    lam: float = 0.5
    """Weight of longer returns in TD(lambda), in [0, 1]."""

    value_lam: float | None = None
    """The same for the V of a dueling critic, in [0, 1]; None for `lam`.

    V needs returns that reach far. Given V, what a chunk changed is seen best in the next observation's: everything
    later adds noise."""

    time_limit_is_terminal: bool = True
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

    critic_warmup: int = 2
    """Iterations in which only the critic learns."""

    capacity: int = 20
    """Complete trajectories kept per environment."""

    new_fraction: float = 0.33
    """Share of each batch that comes from the newest rollout, in [0, 1]."""

    balance_successes: bool = True
    """Whether trajectories of each success level (the rounded return) are drawn equally often."""

    save_replay: bool = True
    """Whether checkpoints hold the replay, so that a run goes on exactly; without it the replay begins anew."""

    num_critic_updates: int = 128
    """Steps of the critic per iteration; the paper's 512 suit rollouts of ten times as many decisions."""

    critic_batch_size: int = 64
    """Windows per step and member."""

    window: int = 4
    """Decisions in a window, over which TD(lambda) reaches."""

    target_repeat: int = 16
    """Steps of the critic for which targets are computed at once; divides `num_critic_updates`."""

    bootstrap: Literal["min", "mean"] | float = "min"
    """How the members' values of the next decision become one: the least, the mean, or a number of the members'
    standard deviations, at least 0, by which the value lies below the mean."""

    bootstrap_draws: int = 1
    """Chunks drawn per next observation, whose values are averaged; the paper's code draws 2, at twice the cost.

    Not used by dueling critics."""

    target_momentum: float = 0.995
    """Share of the past that target networks keep per step of the critic."""

    value_range: list[float] | None = [0.0, 1.0]
    """Bounds of bootstrapped values: 0 and the number of successes in an episode; None for dense rewards."""

    disjoint: bool = True
    """Whether each member learns from trajectories of its own."""

    critic_learning_rate: float = 1.0e-3
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 1.0e-3
    """The same at the last iteration; a half cosine leads there."""

    num_actor_updates: int = 32
    """Steps of the policy per iteration."""

    actor_batch_size: int = 64
    """States per step of the policy."""

    learning_rate: float = 3.0e-4
    """Learning rate of the policy at the start; the paper's is 2e-5, for runs of 10 to 500 million control steps."""

    final_learning_rate: float = 1.0e-4
    """The same at the last iteration; a half cosine leads there."""

    warmup_steps: int = 32
    """Steps of the policy over which its learning rate rises from zero."""

    max_grad_norm: float | None = None
    """Bound on the gradient norm, for the actor's and the critic's parameters each; None for no bound."""

    num_particles: int = 8
    """Chunks P drawn per state, at least 1."""

    temperature: float = 0.001
    """Weight of the repulsion between particles, at least 0; with `normalization="grad_norm"` times |grad Q|."""

    kernel: Literal["rbf", "imq", "delta"] = "rbf"
    """Kernel of the Stein field; "delta" is the plain critic gradient."""

    bandwidth: float | None = None
    """Bandwidth h of the kernel; None for the median heuristic."""

    normalization: Literal["none", "grad_q", "grad_norm"] = "grad_norm"
    """What the gradient's mean norm does: nothing, divide the gradient, or multiply the temperature."""

    preconditioner: Literal["none", "covariance"] = "none"
    """What the field is multiplied by: nothing, or the covariance of the particles.

    The latter moves the policy only in directions in which it varies by itself, which its own episodes tell the critic
    about: no other exploration is needed."""

    backend: Literal["auto", "torch", "warp"] = "auto"
    """Implementation of the field."""

    consistency_coef: float = 0.1
    """Weight c of straightness: landing points shall be where the particle ends; the paper's is 0.5."""

    reference_coef: float = 0.04
    """Weight b of the distance from the reference's velocity; the paper's is 0.2.

    Both oppose the field, whose length the kernel and 1 / P set: smaller weights are larger steps, for short runs."""

    reference: Literal["iteration", "pretrained"] = "iteration"
    """Whether that is the policy at the beginning of each iteration, as in the paper, or the one learning began with.

    The latter bounds how far small errors of the critic, which the replay repeats, can lead over many iterations."""

    exploration: Literal["min_extrp", "gaussian"] = "min_extrp"
    """Noise in proportion to the remaining curvature of the flow, or Gaussian noise of one size."""

    exploration_min_time: float = 0.5
    """Earliest flow time from which "min_extrp" extrapolates, in [0, 1)."""

    exploration_std: float = 0.15
    """Factor of the curvature in "min_extrp", or the deviation of "gaussian" noise in normalised action units.

    The paper's factor is 1 at K = 8 to 32, whose last steps bend little; at K = 4 such noise is too much."""


@configclass
class RldtRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by RLDT with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "rldt"
    """Folder of the runs under logs/rsl_rl."""

    critic: QEnsembleCfg = QEnsembleCfg()
    """Action values."""

    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg()
    """The learner."""
