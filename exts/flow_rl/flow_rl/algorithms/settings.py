# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings that all learners have, and those of on-policy and of off-policy learners.

Plain data, so that configurations can inherit from it without importing what learners need.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from flow_rl.utils.check import InputError, require, require_choice

PREFIX = "agent.algorithm."
"""How the command line calls them."""


@dataclass
class LearnerSettings:
    """Settings of :class:`flow_rl.algorithms.base.FlowAlgorithm`; learners choose other defaults."""

    learning_rate: float = 1.0e-4
    """Learning rate of the policy, and of what it explores with, at the start."""

    final_learning_rate: float = 5.0e-5
    """The same at the last iteration; a half cosine leads there."""

    critic_learning_rate: float = 6.5e-4
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 3.0e-4
    """The same at the last iteration."""

    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float | None = 1.0
    """Bound on the gradient norm, for the actor's and the critic's parameters each; None for no bound."""

    critic_warmup: int = 0
    """Iterations in which only the critic learns."""

    gamma: float = 0.99
    """Discount per decision, i.e. once per chunk, in [0, 1]."""

    lam: float = 0.95
    """Weight of longer estimates, in generalised advantages or TD(lambda), in [0, 1]."""

    time_limit_is_terminal: bool = False
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

    from_scratch: bool = False
    """Whether learning may begin with a random policy instead of a pretrained one."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Checked settings from a configuration's values.

        Raises:
            InputError: If a name is unknown, or a value is not valid.
        """
        valid = [entry.name for entry in dataclasses.fields(cls)]
        if unknown := [name for name in values if name not in valid]:
            close = dict.fromkeys(near for name in unknown for near in difflib.get_close_matches(name, valid))
            meant = f" Did you mean {' or '.join(PREFIX + name for name in close)}?" if close else ""
            raise InputError(
                f"{', '.join(PREFIX + name for name in unknown)}: {cls.__name__} has no such settings.{meant} "
                f"Valid: {', '.join(valid)}."
            )
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Raise an InputError that names the setting, its value, what is valid and the remedy unless all are valid."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                require_choice(PREFIX + name, getattr(self, name), get_args(hint))
        self.at_least("critic_warmup", 0, "use 0 to let the actor learn from the first iteration.")
        for name in ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate"):
            self.at_least(name, 0.0, "learning rates are not negative.")
        self.within_unit("gamma", "lam", remedy="use gamma 0.99 and lam 0.95.")
        limit = self.max_grad_norm
        require(limit is None or limit > 0, PREFIX + "max_grad_norm", limit, "> 0 or null", "use null for no clipping.")

    def at_least(self, name: str, least: float, remedy: str) -> None:
        """Raise unless a setting has at least this value."""
        value = getattr(self, name)
        require(value >= least, PREFIX + name, value, f">= {least}", remedy)

    def above_zero(self, *names: str, remedy: str) -> None:
        """Raise unless settings are greater than zero."""
        for name in names:
            value = getattr(self, name)
            require(value > 0, PREFIX + name, value, "> 0", remedy)

    def within_unit(self, *names: str, remedy: str) -> None:
        """Raise unless settings are in [0, 1]."""
        for name in names:
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, PREFIX + name, value, "[0, 1]", remedy)


@dataclass
class OnPolicySettings(LearnerSettings):
    """Settings of :class:`flow_rl.algorithms.on_policy.OnPolicyAlgorithm`."""

    num_learning_epochs: int = 5
    """Passes over each rollout."""

    num_mini_batches: int = 4
    """Mini-batches per pass."""

    scale_rewards: bool = True
    """Whether rewards are divided by the running deviation of the discounted return."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("num_learning_epochs", 1, "use 5.")
        self.at_least("num_mini_batches", 1, "use 4.")


@dataclass
class OffPolicySettings(LearnerSettings):
    """Settings of :class:`flow_rl.algorithms.off_policy.OffPolicyAlgorithm`."""

    value_lam: float | None = None
    """What `lam` is, for the V of a dueling critic; None for `lam`.

    V needs returns that reach far. Given V, what a chunk changed is seen best in the next observation's: everything
    later adds noise."""

    capacity: int = 20
    """Complete trajectories kept per environment."""

    new_fraction: float = 0.33
    """Share of each batch that comes from the newest rollout, in [0, 1]."""

    demonstrations: str | None = None
    """File of demonstrations, with rewards, of which a share of each batch is drawn (RLPD, arXiv 2302.02948; ResFiT);
    None for none."""

    demonstration_fraction: float = 0.5
    """Share of the windows of critics, and of the states of the policy, that are demonstrations', in [0, 1)."""

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

    bootstrap_members: int | None = None
    """Members, drawn at random for each next decision, of which `bootstrap` makes one value (REDQ, arXiv 2101.05982);
    None for all."""

    bootstrap_draws: int = 1
    """Chunks drawn per next observation, whose values are averaged; the paper's code draws 2, at twice the cost.

    Not used by dueling critics."""

    select_in_rollout: bool = True
    """Whether the critic chooses what is done among the policy's chunks, as many as `agent.actor.selector` says."""

    select_in_backup: bool = True
    """The same of the chunk with whose value returns end; not used by dueling critics, whose V knows what is done."""

    target_momentum: float = 0.995
    """Share of the past that target networks keep per step of the critic."""

    value_range: list[float] | None = field(default_factory=lambda: [0.0, 1.0])
    """Bounds of bootstrapped values: 0 and the number of successes in an episode; None for dense rewards."""

    disjoint: bool = True
    """Whether each member learns from trajectories of its own."""

    num_actor_updates: int = 32
    """Steps of the policy per iteration."""

    actor_batch_size: int = 64
    """States per step of the policy."""

    warmup_steps: int = 32
    """Steps of the policy over which its learning rate rises from zero."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        least = {"capacity": 2, "num_critic_updates": 1, "critic_batch_size": 1, "window": 1, "target_repeat": 1}
        least |= {"bootstrap_draws": 1, "num_actor_updates": 1, "actor_batch_size": 1, "warmup_steps": 0}
        for name, low in least.items():
            self.at_least(name, low, f"use the default of {name}.")
        require(
            self.num_critic_updates % self.target_repeat == 0,
            PREFIX + "target_repeat",
            self.target_repeat,
            f"a divisor of num_critic_updates = {self.num_critic_updates}",
            "targets are computed for that many steps at once.",
        )
        members = self.bootstrap_members
        valid = members is None or members >= 1
        require(valid, PREFIX + "bootstrap_members", members, "an integer >= 1, or null", "use null: all members.")
        self.within_unit("new_fraction", "target_momentum", remedy="use the default.")
        share = self.demonstration_fraction
        valid = 0.0 <= share < 1.0
        require(valid, PREFIX + "demonstration_fraction", share, "[0, 1)", "use 0.5: half of each batch.")
        if self.value_lam is not None:
            valid = 0.0 <= self.value_lam <= 1.0
            require(valid, PREFIX + "value_lam", self.value_lam, "[0, 1] or null", "use null: the same as lam.")
        self._check_bootstrap()

    def _check_bootstrap(self) -> None:
        bootstrap, limits = self.bootstrap, self.value_range
        require(
            bootstrap in ("min", "mean") or (isinstance(bootstrap, int | float) and bootstrap >= 0),
            PREFIX + "bootstrap",
            bootstrap,
            "'min', 'mean', or a number >= 0 of deviations below the mean",
            "use 'min', the default.",
        )
        require(
            limits is None or (len(limits) == 2 and limits[0] < limits[1]),
            PREFIX + "value_range",
            limits,
            "[low, high] with low < high, or null",
            "use [0, number of successes in an episode].",
        )


@dataclass
class ImitationSettings(OffPolicySettings):
    """Settings of off-policy learners that may imitate their successes; see `OffPolicyAlgorithm.imitation_loss`."""

    imitation_coef: float = 0.0
    """Weight of flow matching on chunks of the replay that led to a success; 0 leaves it out.

    It keeps the policy near what has worked, and its flow straight; a large weight slows what the critic teaches."""

    imitation_new_fraction: float = 0.33
    """Share of these chunks from the newest successes, those of the last iteration.

    Old ones hold the policy near what it was; new ones keep what it has become."""

    def check(self) -> None:
        """Raise unless all are valid."""
        super().check()
        self.at_least("imitation_coef", 0, "use 0 to switch it off.")
        self.within_unit("imitation_new_fraction", remedy="use the default.")
