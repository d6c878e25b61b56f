# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""List the tasks: numbers that a policy sees (O), numbers of an action (A), actions in a chunk, cameras, the expert.

With a name, what that task is, and the commands that lead from demonstrations to a fine-tuned policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from flow_rl.cli.learners import summary
from flow_rl.cli.options import ArgumentParser, one_line_errors
from flow_rl.cli.tables import print_table
from flow_rl.configs import learners
from flow_rl.utils.check import require_choice
from flow_rl.utils.plugins import load_tasks

HEAD = ("task", "O", "A", "horizon", "cameras", "expert")
"""Columns of the list."""

COMMANDS = (
    "flow-rl collect --task {task} --num_demos 100 --quality 0.5 --output data/demos.hdf5",
    "flow-rl pretrain --task {task} --demos data/demos.hdf5 --output outputs/pretrained.pt",
    "flow-rl train --rl_library rsl_rl --task {task} --checkpoint outputs/pretrained.pt agent.eval_interval=5",
    "flow-rl evaluate --task {task} --checkpoint outputs/pretrained.pt --num_episodes 256",
)
"""From demonstrations to a fine-tuned policy."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each task that flow policies can learn, those of other packages included, or describe one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", metavar="NAME", help="task that is described")
    args = parser.parse_args(argv)

    import gymnasium as gym

    load_tasks()
    tasks = {name: spec for name, spec in gym.registry.items() if "pretrain_cfg_entry_point" in (spec.kwargs or {})}
    if args.task is None:
        print_table(HEAD, [row(tasks[name]) for name in sorted(tasks)])
        return
    with one_line_errors():
        require_choice("task", args.task, sorted(tasks))
        show(tasks[args.task])


def show(spec) -> None:
    """Print what a task is, as far as its registration and the description of its configuration say."""
    env_cfg = spec.kwargs["env_cfg_entry_point"]
    if isinstance(env_cfg, str) and (text := summary(env_cfg)):
        print(f"{text.rstrip('.')}.\n")
    names = sorted(name for name in learners() if f"{name}_cfg_entry_point" in spec.kwargs)
    print_table(HEAD, [row(spec)])
    print(f"\nlearners: {', '.join(names)}\nits settings of one: flow-rl learners {names[0]} --task {spec.id}\n")
    for command in COMMANDS:
        print(command.format(task=spec.id))


def row(spec) -> list[str]:
    """Return what the registration of a task says, with dashes for what it does not say."""
    summary = spec.kwargs.get("summary", {})
    sizes = [summary.get(name) or "-" for name in ("obs_dim", "action_dim", "horizon")]
    expert = spec.kwargs.get("expert_entry_point", "-")
    name = expert.__name__ if callable(expert) else expert.rpartition(":")[2]
    return [spec.id, *sizes, ", ".join(summary.get("cameras", ())) or "-", name]
