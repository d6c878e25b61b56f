# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Print what a shell needs to complete commands, options, tasks, learners and suites: eval "$(flow-rl completion)".

The shell then asks the command itself, through argcomplete, which knows the parsers. Those of Isaac Lab's commands take
seconds to build; of their options only those are completed that are ours or that most command lines have.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence

import argcomplete

from flow_rl.cli import options

PROGRAMS = ("flow-rl", "flow_rl.sh")
"""What is completed, also with a path before it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the function of a shell."""
    parser = options.ArgumentParser(description=__doc__)
    parser.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"), default="bash", help="your shell")
    print(argcomplete.shellcode(PROGRAMS, shell=parser.parse_args(argv).shell))


def complete(commands: Mapping[str, str], stock: Collection[str]) -> None:
    """Tell the shell that asks how its command line may go on, and end the process.

    Args:
        commands: All commands.
        stock: Those of Isaac Lab.
    """
    words = argcomplete.split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3]
    if len(words) < 2:
        parser = argparse.ArgumentParser()
        parser.add_argument("command", choices=commands)
        offer(parser)
    os.environ[options.COMPLETING] = "2"  # the command line of its parser begins with the second word
    if words[1] in stock:
        offer(stock_parser(words[1]))
    elif words[1] in commands:
        importlib.import_module(f"flow_rl.cli.{words[1]}").main([])  # whose parser offers what it takes
    raise SystemExit(1)


def offer(parser: argparse.ArgumentParser) -> None:
    """Tell the shell what a parser takes, and end the process."""
    for action in parser._actions:
        if action.dest in NAMES and not action.choices:
            action.completer = lambda found=NAMES[action.dest], **_: found()
    argcomplete.autocomplete(parser, always_complete_options="long")


def stock_parser(command: str) -> argparse.ArgumentParser:
    """Options of a command of Isaac Lab that are worth completing."""
    from flow_rl.cli import dry_run, preemption
    from flow_rl.ranks import launcher

    parser = argparse.ArgumentParser()
    for name in ("task", "agent", "checkpoint", "num_envs", "seed", "device", "viz"):
        parser.add_argument(f"--{name}")
    options.add_host_option(parser)
    if command == "train":
        for name in ("max_iterations", "run_name", "logger"):
            parser.add_argument(f"--{name}")
        for add in (preemption.add_options, dry_run.add_option, launcher.add_options):
            add(parser)
    return parser


def _tasks() -> list[str]:
    import gymnasium as gym

    from flow_rl.utils.plugins import load_tasks

    load_tasks()
    return sorted(name for name, spec in gym.registry.items() if "pretrain_cfg_entry_point" in (spec.kwargs or {}))


def _learners() -> list[str]:
    from flow_rl.configs import learners

    return sorted(learners())


def _agents() -> list[str]:
    return [f"{name}_cfg_entry_point" for name in _learners()]


def _suites() -> list[str]:
    from flow_rl.benchmark.suite import names

    return ["report", "scaling", "status", *names().split(", ")]


NAMES: dict[str, Callable[[], list[str]]] = {
    "task": _tasks,
    "agent": _agents,
    "learner": _learners,
    "suite": _suites,
}
"""What options and positions of these names may be, where the parser does not say it."""
