# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture seen through cameras: ``<Name>VisionEnvCfg`` of every registered furniture, made when it is asked for."""

import functools
import importlib

from isaaclab.utils import configclass

from flow_rl_tasks.variations.vision import VisionMixin

from . import ENV_CFG_MODULES


@configclass
class FurnitureVisionMixin(VisionMixin):
    """Comes before a furniture's configuration: as other vision variants, seen from nearer."""

    front_eye: tuple[float, float, float] = (0.88, -0.42, 0.52)
    """Where the front camera is [m]: all parts are in view wherever they begin, and a hole is some pixels wide."""

    front_target: tuple[float, float, float] = (0.44, -0.02, 0.09)
    """Where the front camera looks [m]."""


@functools.cache
def __getattr__(name: str) -> type:
    """``<Name>VisionEnvCfg``: the mixin, then the furniture's ``<Name>EnvCfg``."""
    task = name.removesuffix("VisionEnvCfg")
    if task == name or task not in ENV_CFG_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    state = getattr(importlib.import_module(ENV_CFG_MODULES[task]), f"{task}EnvCfg")
    body = {"__module__": __name__, "__doc__": f"{state.__doc__} Seen through cameras."}
    return configclass(type(name, (FurnitureVisionMixin, state), body))
