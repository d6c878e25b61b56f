# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of a configuration as a reader wants them: path, value, who set it, what it is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """One field of a configuration."""

    path: str
    """As on the command line, such as ``agent.algorithm.gamma``."""

    value: Any
    """What holds unless the command line says otherwise."""

    origin: str
    """Which layer set it."""

    summary: str
    """First sentence of its description; empty where there is none."""


def describe_settings(layers: Mapping[str, Any], prefix: str = "agent") -> Iterator[Setting]:
    """Fields of a configuration and of those within it, in the order of their definition.

    Args:
        layers: The configuration by who shaped it, from the learner's own to what holds in the end, such as
            ``{"default": ..., "task": ..., "presets": ...}``.
        prefix: Path of all on the command line.
    """
    *_, cfg = layers.values()
    summaries = field_summaries(type(cfg))
    for field in dataclasses.fields(cfg):
        path, value = f"{prefix}.{field.name}", getattr(cfg, field.name)
        below = {name: getattr(layer, field.name, dataclasses.MISSING) for name, layer in layers.items()}
        if isinstance(value, type(dataclasses.MISSING)):
            continue  # what the host no longer wants
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from describe_settings(below, path)
        else:
            yield Setting(path, value, _origin(below, value), summaries.get(field.name, ""))


def _origin(values: Mapping[str, Any], value: Any) -> str:
    """The layer that said a value first, if nobody after it said another."""
    same = itertools.takewhile(lambda layer: values[layer] == value, reversed(values))
    return list(same)[-1]


def field_summaries(cls: type) -> dict[str, str]:
    """First sentences of the descriptions below the fields of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError, ValueError, SyntaxError):
            continue  # a base without source
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = first_sentence(str(text.value.value))
    return found


def first_sentence(text: str) -> str:
    """The first sentence of a description, in one line."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return re.split(r"\.(?= [A-Z`])|\.$", paragraph)[0]
