# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings that are copied to other places when a configuration is made, and overridden after that."""

from __future__ import annotations

import dataclasses
from typing import Any


def default_of(cfg: Any, name: str) -> Any:
    """Return the default of a configuration's field, a new copy."""
    return cfg.__dataclass_fields__[name].default_factory()


def follow(present: Any, was: Any, now: Any) -> None:
    """Change the copy of a setting as the setting has changed, but leave alone what was overridden in the copy itself.

    Args:
        present: The copy, a configuration, dataclass or dictionary; it is changed in place.
        was: What the copy was made as.
        now: What it would be made as now.
    """
    before, here = _fields(was), _fields(present)
    for name, value in _fields(now).items():
        if value == before[name] or name not in here:
            continue
        if _alike(value, before[name], here[name]):
            follow(here[name], before[name], value)
        elif here[name] == before[name]:
            if isinstance(present, dict):
                present[name] = value
            else:
                setattr(present, name, value)


def _fields(node: Any) -> dict[str, Any]:
    """Fields of a configuration or entries of a dictionary; nothing for values."""
    if isinstance(node, dict):
        return node
    return vars(node) if dataclasses.is_dataclass(node) else {}


def _alike(*nodes: Any) -> bool:
    """Whether all have the same fields, so that they can be compared field by field."""
    first, *others = nodes
    names = _fields(first).keys()
    return bool(names) and all(type(node) is type(first) and _fields(node).keys() == names for node in others)
