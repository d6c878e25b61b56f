# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where everything stood when an episode began, kept below ``initial_state`` as Isaac Lab Mimic does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def scene_state(env: Any) -> dict[str, torch.Tensor]:
    """Return the state of a scene by path, such as ``articulation/robot/joint_position``, each of shape (E, ...).

    Positions are relative to the environments' origins. Environments without a scene of Isaac Lab have none.
    """
    return _flat(env.scene.get_state(is_relative=True)) if hasattr(env, "scene") else {}


def set_scene_state(env: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Begin an episode in all environments, from states by path, each of shape (E, ...)."""
    # kinds of assets that a scene does not have are asked for all the same
    nested: dict[str, Any] = dict.fromkeys(("articulation", "cable_object", "deformable_object", "rigid_object"), {})
    for path, values in state.items():
        kind, asset, name = path.split("/")
        nested[kind] = nested.get(kind) or {}
        nested[kind].setdefault(asset, {})[name] = values.to(env.device)
    env.reset_to(nested, torch.arange(env.num_envs, device=env.device), is_relative=True)


def _flat(state: Mapping[str, Any], prefix: str = "") -> dict[str, torch.Tensor]:
    parts = (
        _flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
        for name, value in state.items()
    )
    return {path: value for part in parts for path, value in part.items()}
