# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What other installed packages add, by the entry points of their metadata."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping


def with_plugins(own: Mapping[str, str], group: str, kind: str) -> dict[str, str]:
    """Entry points ``"module:attribute"`` by name: our own and those of a group, found without importing them.

    Args:
        own: What this package brings.
        group: Group of entry points, such as ``flow_rl.learners``.
        kind: What they are, for the message.

    Raises:
        ValueError: If two have one name.
    """
    found = dict(own)
    for entry in importlib.metadata.entry_points(group=group):
        if found.setdefault(entry.name, entry.value) != entry.value:
            raise ValueError(
                f"two {kind} are named {entry.name!r}: {found[entry.name]} and {entry.value}. Rename or uninstall one "
                "of them."
            )
    return found


def load_tasks() -> None:
    """Import the packages of tasks that are installed, which registers them; as Isaac Lab's own commands do."""
    for entry in importlib.metadata.entry_points(group="isaaclab.tasks"):
        entry.load()
