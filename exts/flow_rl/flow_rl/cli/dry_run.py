# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a training would run with: every setting of learner and environment, and who set it; nothing is started."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from flow_rl.cli import launch
from flow_rl.cli.tables import print_table
from flow_rl.configs import learners
from flow_rl.configs.compose import build, set_field
from flow_rl.configs.describe import describe_settings

OPTIONS = {"num_envs": "env.scene.num_envs", "seed": "agent.seed", "max_iterations": "agent.max_iterations"}
"""Options of the stock command, and the settings that they are."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a command line ask for it."""
    text = "print every setting of learner and environment and who set it, and start nothing"
    parser.add_argument("--dry_run", action="store_true", help=text)


def stock(words: Sequence[str]) -> None:
    """Print what a command of training would run with, of a task that offers the learner.

    Args:
        words: The command line, whose presets and overrides are known to be valid.
    """
    from isaaclab_tasks.utils import resolve_task_config

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", required=True)
    parser.add_argument("--agent", default="rsl_rl_cfg_entry_point")
    for name in OPTIONS:
        parser.add_argument(f"--{name}", type=int)
    args, rest = parser.parse_known_args(words)
    overrides = [word for word in rest if word.lstrip("+").startswith(launch.SELECTORS)]
    layers: dict[str, list[str]] = {"task": []}
    if presets := [word for word in overrides if not word.lstrip("+").startswith(("env.", "agent."))]:
        layers["presets"] = presets
    layers["command line"] = overrides
    task = args.task.split(":")[-1]
    resolved = {name: resolve_task_config(task, args.agent, overrides=said) for name, said in layers.items()}
    env_cfg, agent_cfg = resolved["command line"]
    for name, path in OPTIONS.items():
        if getattr(args, name) is not None:
            section, _, field = path.partition(".")
            set_field({"env": env_cfg, "agent": agent_cfg}[section], field, getattr(args, name))
    learner = args.agent.removesuffix("_cfg_entry_point")
    agents = {"default": build(learner)} if learner in learners() else {}
    show(
        {name: cfg for name, (cfg, _) in resolved.items()}, agents | {name: cfg for name, (_, cfg) in resolved.items()}
    )


def show(env_layers: Mapping[str, Any], agent_layers: Mapping[str, Any]) -> None:
    """Print the settings of environment and learner, each by who shaped it, the last of which holds."""
    settings = [*describe_settings(env_layers, "env"), *describe_settings(agent_layers)]
    print_table(("setting", "set by", "value"), [(each.path, each.origin, repr(each.value)) for each in settings])
