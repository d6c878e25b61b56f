# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings compose: a task names a tuple of records, each record names fields by their paths, and the last one wins.

A record is plain data, such as ``{"all": {"actor.horizon": 8}, "rldt": {"algorithm.lam": 0.5}}``. Its keys say whom it
concerns: ``all``, ``learners`` (all but pretraining), or one of them by name. Paths are those of the command line's
overrides, ``agent.actor.horizon=8``. Whoever adds a learner gets every task's settings, and whoever adds a task or a
variant writes a record instead of a class for each learner.
"""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flow_rl.utils.check import InputError

from . import learners

Settings = Mapping[str, Mapping[str, Any]]
"""Whom it concerns -> path of a field -> value."""

PRETRAIN = "pretrain"
"""Name of behaviour cloning among the learners' names."""


def build(
    name: str, *settings: Settings, presets: Mapping[str, Settings] | None = None, base: str | None = None
) -> Any:
    """Return the configuration of a learner or of behaviour cloning, with settings applied in order.

    Args:
        name: ``pretrain``, or one of :func:`flow_rl.configs.learners`.
        settings: Records; within each, what concerns all comes before what concerns this one by name.
        presets: Records by name that a user may choose, as ``presets=<name>`` on the command line.
        base: ``"module:Class"`` to begin with instead of the learner's own configuration.

    Raises:
        ValueError: If a record concerns nobody, or a path names no field.
    """
    cfg = load(base or entry_points()[name])()
    for record in settings:
        for path, value in concerning(name, record).items():
            set_field(cfg, path, copy.deepcopy(value))
    for preset, record in (presets or {}).items():
        for path, value in concerning(name, record).items():
            _offer(cfg, path, preset, copy.deepcopy(value))
    return cfg


def resolve(cfg: Any, presets: Sequence[str] = ()) -> Any:
    """Return a built configuration with the presets that a user chose; all else stays as the task has it.

    Raises:
        InputError: If a preset is not offered.
    """
    from isaaclab_tasks.utils.hydra import collect_presets, resolve_presets

    valid = {name for options in collect_presets(cfg).values() for name in options} - {"default"}
    if unknown := set(presets) - valid:
        raise InputError(
            f"presets={','.join(sorted(unknown))} is no choice. Valid: {', '.join(sorted(valid)) or 'none here'}."
        )
    return resolve_presets(cfg, presets)


def factory(
    name: str, settings: Sequence[Settings], presets: Mapping[str, Settings] | None = None, base: str | None = None
) -> Callable[[], Any]:
    """Return a function without arguments that builds a configuration: what Isaac Lab's registry takes."""

    def configuration() -> Any:
        return build(name, *settings, presets=presets, base=base)

    configuration.__qualname__ = f"flow_rl.configs.compose.build({name!r}, ...)"  # printed by the stock commands
    return configuration


def entry_points() -> dict[str, str]:
    """Configurations of the learners and of behaviour cloning, ``"module:Class"`` by name."""
    return {PRETRAIN: f"{__package__}.pretrain:PretrainCfg", **learners()}


def load(entry_point: str) -> Any:
    """Import what ``"module:attribute"`` names."""
    module, _, attribute = entry_point.partition(":")
    return getattr(importlib.import_module(module), attribute)


def concerning(name: str, record: Settings) -> dict[str, Any]:
    """Return the fields that a record sets for one learner or for behaviour cloning, by path.

    Raises:
        ValueError: If the record concerns somebody who is not known.
    """
    valid = {"all", "learners", *entry_points()}
    if unknown := set(record) - valid:
        raise ValueError(
            f"settings concern {', '.join(map(repr, sorted(unknown)))}, whom nobody knows. Valid: "
            f"{', '.join(sorted(valid))}; a learner of another package must be installed with it."
        )
    groups = ("all", *(["learners"] if name != PRETRAIN else []), name)
    return {path: value for group in groups for path, value in record.get(group, {}).items()}


def combined(*records: Settings) -> Settings:
    """Return one record that sets what several do, the last one winning."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: {path: value for record in records for path, value in record.get(name, {}).items()} for name in names}


def set_field(cfg: Any, path: str, value: Any) -> None:
    """Set the field of a configuration that a dotted path names; where mappings lie on the path, their keys.

    Raises:
        ValueError: If there is no such field.
    """
    owner, field = _owner(cfg, path)
    if isinstance(owner, Mapping):
        owner[field] = value
    else:
        setattr(owner, field, value)


def _owner(cfg: Any, path: str) -> tuple[Any, str]:
    *parents, field = path.split(".")
    owner = functools.reduce(lambda node, part: _get(node, part, path), parents, cfg)
    _get(owner, field, path)
    return owner, field


def _get(node: Any, name: str, path: str) -> Any:
    fields = node if isinstance(node, Mapping) else getattr(node, "__dataclass_fields__", {})
    if name not in fields:
        raise ValueError(f"settings name {path!r}, but there is no {name!r}. Valid: {', '.join(sorted(fields))}.")
    return node[name] if isinstance(node, Mapping) else getattr(node, name)


def _offer(cfg: Any, path: str, preset: str, value: Any) -> None:
    """Put an alternative beside a field's value, which Isaac Lab's ``presets=`` chooses."""
    from isaaclab_tasks.utils import PresetCfg
    from isaaclab_tasks.utils.hydra import preset as make_preset

    owner, field = _owner(cfg, path)
    present = _get(owner, field, path)
    options = (
        {name: getattr(present, name) for name in present.__dataclass_fields__}
        if isinstance(present, PresetCfg)
        else {"default": present}
    )
    set_field(cfg, path, make_preset(**options, **{preset: value}))
