# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of the flow policy: those of the configuration, of ``agent.actor`` and of checkpoints."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from flow_rl.nn.backbones import BackboneSettings
from flow_rl.nn.noise_steering import PriorSettings
from flow_rl.nn.residual_head import HeadSettings
from flow_rl.nn.selector import SelectorSettings
from flow_rl.nn.vision import EncoderSettings
from flow_rl.policies.settings import BaseSettings
from flow_rl.utils.check import require, require_choice

from .sampler import SamplerSettings

SHAPES = ("obs_groups", "image_shapes", "action_dim")
"""What a policy says of itself beside its settings."""


@dataclass
class FlowPolicySettings:
    """Settings of :class:`flow_rl.models.FlowPolicy`; pretraining and fine-tuning share them."""

    horizon: int = 4
    """Actions H in a chunk; the task's action term must execute as many."""

    num_flow_steps: int = 4
    """Steps K from noise to action, of integration or of denoising, at least 1."""

    hidden_dims: list[int] = field(default_factory=lambda: [512, 512, 512])
    """Widths of the ``mlp`` backbone: an input layer and one residual layer per further width."""

    activation: str = "relu"
    """Activation of the ``mlp`` backbone, as named by rsl_rl."""

    time_embedding_dim: int = 16
    """Number of features of the flow time, even."""

    prediction: Literal["v", "x", "residual"] = "v"
    """Whether the backbone predicts the velocity (v), the action at the end of the flow (x), or what the velocity of
    independent normal actions lacks (residual). With `v`, that of a denoising policy predicts the noise."""

    initial_noise: Literal["random", "zero"] = "random"
    """Where the flow starts when the policy is played: a standard normal sample, or zero."""

    obs_scaling: Literal["range", "whitening"] = "range"
    """Whether the demonstrations' range normalises observations, or their covariance, so that small differences between
    observations weigh as much as large ones."""

    intermediate_clip: float | None = 1.0
    """Bound on each coordinate after an integration step, or of the action that a step of denoising points at, in
    playing and in fine-tuning; None for no bound."""

    obs_clip: float | None = 5.0
    """Bound on normalised observations, in half ranges of the demonstrations, or in standard deviations when they are
    whitened; None for no bound."""

    score_clip: float = 10.0
    """Bound on each coordinate of the score, where a learner adds one to the drift."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    """How images are encoded, where the actor's observations have some."""

    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    """The network behind the velocity."""

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    """How chunks are made of noise."""

    head: HeadSettings = field(default_factory=HeadSettings)
    """What follows the flow."""

    prior: PriorSettings = field(default_factory=PriorSettings)
    """What the initial noise goes through before the flow."""

    selector: SelectorSettings = field(default_factory=SelectorSettings)
    """How many chunks are drawn, of which the best is played."""

    base: BaseSettings = field(default_factory=BaseSettings)
    """A policy that somebody else may have made, in the flow's place, upon which a learner learns something more."""

    def regresses(self) -> bool:
        """Whether the policy is a regression of chunks: one step from zero noise, whose velocity is the chunk."""
        return self.base.source is None and self.num_flow_steps == 1 and self.initial_noise == "zero"

    @classmethod
    def make(cls, values: dict[str, Any]) -> FlowPolicySettings:
        """Settings from plain values, nested as the fields are; those that are left out are the defaults.

        Raises:
            InputError: If there is no such setting.
        """
        nested = {"encoder": EncoderSettings, "backbone": BackboneSettings, "sampler": SamplerSettings}
        nested |= {"head": HeadSettings, "prior": PriorSettings, "selector": SelectorSettings, "base": BaseSettings}
        return _record(
            cls,
            {name: _record(nested[name], value or {}) if name in nested else value for name, value in values.items()},
        )

    @classmethod
    def of(cls, policy: dict[str, Any]) -> FlowPolicySettings:
        """Settings within what a policy says of itself, :attr:`FlowPolicy.settings`, which tells its shapes besides."""
        return cls.make({name: value for name, value in policy.items() if name not in SHAPES})

    def values(self) -> dict[str, Any]:
        """Plain values from which :meth:`make` makes the same settings."""
        fields = dataclasses.fields(FlowPolicySettings)  # not those that a configuration adds
        return {field.name: _plain(getattr(self, field.name)) for field in fields}

    def check(self, output_dim: int) -> None:
        """Raise an InputError about what no slot of the policy checks; chunks have the size output_dim = H * A."""
        name = "agent.actor."
        require(
            self.horizon >= 1 and output_dim % self.horizon == 0,
            name + "horizon",
            self.horizon,
            f"a divisor of the environment's action size {output_dim}",
            "give the policy the chunk length of the task's ChunkActionCfg.",
        )
        features = self.time_embedding_dim
        even = features > 0 and features % 2 == 0
        require(even, name + "time_embedding_dim", features, "an even integer > 0", "use 16, the default.")
        require_choice(name + "prediction", self.prediction, ("v", "x", "residual"))
        require(
            self.sampler.kind != "flow" or self.sampler.frozen_steps == 0,
            name + "sampler.frozen_steps",
            self.sampler.frozen_steps,
            "0 for a flow",
            f"use 0, or a denoising policy, {name}sampler.kind=denoising.",
        )
        require(
            self.selector.kind == "none" or self.initial_noise == "random",
            name + "selector.kind",
            self.selector.kind,
            f"'none' where {name}initial_noise is 'zero': all chunks are the same",
            f"use {name}initial_noise=random, or no selector.",
        )


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else copy.deepcopy(value)


def _record(cls: type, values: dict[str, Any]) -> Any:
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(values) - set(names))
    require(not unknown, "agent.actor", unknown, ", ".join(names), "leave these settings out.")
    return cls(**values)
