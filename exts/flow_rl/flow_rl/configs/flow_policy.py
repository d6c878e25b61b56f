# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of the flow policy."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.models.policy_settings import FlowPolicySettings
from flow_rl.models.sampler import SamplerSettings
from flow_rl.nn import BackboneSettings, EncoderSettings, HeadSettings, PriorSettings, SelectorSettings
from flow_rl.policies import BaseSettings


@configclass
class CameraEncoderCfg(EncoderSettings):
    """Settings of the cameras' encoders."""


@configclass
class BackboneCfg(BackboneSettings):
    """Settings of the network behind the velocity."""


@configclass
class SamplerCfg(SamplerSettings):
    """Settings of how chunks are made of noise."""


@configclass
class HeadCfg(HeadSettings):
    """Settings of what follows the flow."""


@configclass
class PriorCfg(PriorSettings):
    """Settings of what the initial noise goes through."""


@configclass
class SelectorCfg(SelectorSettings):
    """Settings of a choice among several chunks."""


@configclass
class BaseCfg(BaseSettings):
    """Settings of a policy that somebody else may have made."""


@configclass
class FlowPolicyCfg(FlowPolicySettings, RslRlMLPModelCfg):
    """Settings of :class:`flow_rl.models.FlowPolicy` as a model of rsl_rl."""

    class_name: str = "flow_rl.models.flow_policy:FlowPolicy"
    """Implementation."""

    encoder: CameraEncoderCfg = CameraEncoderCfg()
    """How images are encoded, where the actor's observations have some."""

    backbone: BackboneCfg = BackboneCfg()
    """The network behind the velocity."""

    sampler: SamplerCfg = SamplerCfg()
    """How chunks are made of noise."""

    head: HeadCfg = HeadCfg()
    """What follows the flow."""

    prior: PriorCfg = PriorCfg()
    """What the initial noise goes through before the flow."""

    selector: SelectorCfg = SelectorCfg()
    """How many chunks are drawn, of which the best is played."""

    base: BaseCfg = BaseCfg()
    """A policy that somebody else may have made, in the flow's place; for DSRL, residual and ResiP."""
