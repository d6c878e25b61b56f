# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""List the tasks: numbers that a policy sees (O), numbers of an action (A), actions in a chunk, cameras, the expert."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flow_rl.cli.tables import print_table
from flow_rl.utils.plugins import load_tasks


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each task that flow-matching policies can learn, those of other packages included."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)

    import gymnasium as gym

    load_tasks()
    tasks = [spec for spec in gym.registry.values() if "pretrain_cfg_entry_point" in (spec.kwargs or {})]
    print_table(("task", "O", "A", "horizon", "cameras", "expert"), map(row, sorted(tasks, key=lambda spec: spec.id)))


def row(spec) -> list[str]:
    """Return what the registration of a task says, with dashes for what it does not say."""
    summary = spec.kwargs.get("summary", {})
    sizes = [summary.get(name) or "-" for name in ("obs_dim", "action_dim", "horizon")]
    expert = spec.kwargs.get("expert_entry_point", "-")
    name = expert.__name__ if callable(expert) else expert.rpartition(":")[2]
    return [spec.id, *sizes, ", ".join(summary.get("cameras", ())) or "-", name]
