# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Overrides ``env.<path>=<value>`` and ``agent.<path>=<value>``: does the field exist, and is the value of its type?

Isaac Lab sets whatever it is told to: a misspelt field has no effect, and a wrong type fails far away.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flow_rl.utils.check import InputError

LITERALS = {"true": True, "false": False, "none": None, "null": None}
"""Words that Isaac Lab reads as values."""

PLAIN = (bool, int, float, str, list, tuple, dict)
"""Types of values that a command line can spell."""


def parse_value(text: str) -> Any:
    """Return the value that Isaac Lab reads: a Python literal, or else the text itself."""
    try:
        return LITERALS[text.lower()] if text.lower() in LITERALS else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def given(words: Sequence[str], path: str) -> Any:
    """Return the value that the last override of a path gives, None without one."""
    values = [word.partition("=")[2] for word in words if word.partition("=")[0] == path]
    return parse_value(values[-1]) if values else None


def chooses_preset(word: str, sections: Mapping[str, Any]) -> bool:
    """Whether an override names a preset for a part of the configuration, rather than a value of a field."""
    path, _, text = word.partition("=")
    if not isinstance(parse_value(text), str):
        return False
    node: Any = sections
    for name in path.split("."):
        children = _children(node)
        if children is None or name not in children:
            return False
        node = children[name]
    return dataclasses.is_dataclass(node)


def check_override(word: str, sections: Mapping[str, Any], value: Any = ...) -> None:
    """Raise an InputError unless an override names a field and gives a value of its type.

    Args:
        word: The override.
        sections: Configurations by the first word of a path, ``env`` and ``agent``.
        value: What the override says, where that is not read as Isaac Lab does.
    """
    path, _, text = word.partition("=")
    node, hint, passed = sections, Any, []
    for name in path.lstrip("+").split("."):
        children = _children(node)
        if children is None:
            raise InputError(
                f"override {word!r} names no field: {'.'.join(passed)} is {node!r} and has none. "
                f"Valid: {'.'.join(passed)}=<{describe(hint, node)}>."
            )
        if name not in children:
            if isinstance(node, dict) and not node:
                return  # an empty dictionary takes any key
            prefix = "".join(f"{parent}." for parent in passed)
            close = [prefix + other for other in difflib.get_close_matches(name, children, n=3)]
            valid = ", ".join(prefix + other for other in children)
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"override {word!r} names no field: there is no {name!r}.{meant} Valid: {valid}.")
        hint = _annotation(node, name)
        node = children[name]
        passed.append(name)
    value = parse_value(text) if value is ... else value
    if not (fits(value, hint) or _same_kind(value, node)) or not _plausible(value, hint, node):
        raise InputError(
            f"override {word!r} has no valid value. Valid: a value of type {describe(hint, node)}, such as {node!r}."
        )


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; types that a command line cannot spell are taken on trust."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in PLAIN and hint not in (list, tuple):
        return isinstance(value, hint)
    if (origin or hint) in (list, tuple, Sequence):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and args and args[-1] is not ...:
            return len(value) == len(args) and all(map(fits, value, args))
        return not args or all(fits(entry, args[0]) for entry in value)
    return not isinstance(origin, type) or not issubclass(origin, dict) or isinstance(value, dict)


def describe(hint: Any, present: Any) -> str:
    """Name a type as a user knows it; that of the present value where the annotation says nothing."""
    if hint is Any or isinstance(hint, typing.TypeVar):
        hint = type(present)
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _plausible(value: Any, hint: Any, present: Any) -> bool:
    """Whether a value goes with the present one, where the annotation does not tell."""
    told = typing.get_origin(hint) is not None or hint in PLAIN
    if told or value is None or type(present) not in PLAIN:
        return True
    return _same_kind(value, present)


def _same_kind(value: Any, present: Any) -> bool:
    """Whether a value is of the kind of a present one; host's annotations are not always true."""
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(present, bool) and isinstance(value, bool)
    if isinstance(present, float):
        return isinstance(value, int | float)
    if isinstance(present, list | tuple):
        if not isinstance(value, list | tuple):
            return False
        return not present or all(any(_same_kind(entry, other) for other in present) for entry in value)
    return isinstance(present, PLAIN) and isinstance(value, type(present))


def _children(node: Any) -> dict[str, Any] | None:
    """Fields of a configuration or keys of a dictionary; None for values, which have neither."""
    if isinstance(node, Mapping):
        return dict(node)
    if dataclasses.is_dataclass(node):
        return {name: value for name, value in vars(node).items() if not name.startswith("_")}
    return None


def _annotation(node: Any, name: str) -> Any:
    """Annotated type of a configuration's field; Any where the name of the type is known to type checkers only."""
    for cls in type(node).__mro__:
        hint = cls.__dict__.get("__annotations__", {}).get(name)
        if isinstance(hint, str):
            try:
                return eval(hint, vars(sys.modules[cls.__module__]))
            except (NameError, AttributeError, TypeError):
                continue  # the class that declares the field may know the name
        if hint is not None:
            return hint
    return Any


def check_overrides(words: Sequence[str], task: str, agent: str | None, play_mode: bool = False) -> None:
    """Raise an InputError unless every override of a task's configuration can be followed.

    Args:
        words: Presets and overrides.
        task: Id of a registered task.
        agent: Name of the learner's entry point; overrides of ``agent.`` are left alone without one.
        play_mode: Whether the configuration is that of ``play``.
    """
    from isaaclab_tasks.utils import resolve_task_config

    overrides = [word for word in words if word.lstrip("+").startswith(("env.", "agent."))]
    presets = [word for word in words if word not in overrides]

    def resolve() -> dict[str, Any]:
        try:
            env_cfg, agent_cfg = resolve_task_config(task, agent, play_mode=play_mode, overrides=presets)
        except ValueError as error:
            raise InputError(str(error)) from error
        return {"env": env_cfg} | ({"agent": agent_cfg} if agent else {})

    sections = resolve()
    if chosen := [word for word in overrides if chooses_preset(word, sections)]:
        presets += chosen
        sections = resolve()
    for word in overrides:
        if word not in chosen and (agent or word.lstrip("+").startswith("env.")):
            check_override(word, sections)
