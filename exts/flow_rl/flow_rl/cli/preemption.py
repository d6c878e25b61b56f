# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Options of training for clusters: a run that goes on by the command that began it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flow_rl.utils.check import require


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line say whether a run goes on, and how long it may take to end."""
    text = "go on from the newest intact checkpoint of the run that --run_name names, or begin it"
    parser.add_argument("--resume", choices=("auto",), help=text)
    text = "seconds that an iteration may still take when SIGTERM or SIGUSR1 asks for an end (default: 20)"
    parser.add_argument("--grace", type=float, metavar="SECONDS", help=text)


def as_overrides(words: Sequence[str]) -> list[str]:
    """Return a command of training with these options as overrides, which the stock command understands.

    A run that goes on has a folder without the time in its name: `--run_name` becomes the whole name, unless
    `--run_timestamp` is given as well.

    Raises:
        InputError: If an option is not valid.
    """
    parser = argparse.ArgumentParser(prog="flow-rl train", add_help=False, allow_abbrev=False)
    add_options(parser)
    args, words = parser.parse_known_args(words)
    if args.grace is not None:
        require(args.grace >= 0, "--grace", args.grace, "0 or more seconds", "leave it out for 20.")
        words.append(f"agent.grace={args.grace}")
    return words if args.resume is None else [*_with_folder(words), "agent.resume=true"]


def _with_folder(words: list[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run_name")
    parser.add_argument("--run_timestamp")
    args, rest = parser.parse_known_args(words)
    valid = "auto together with a name for the run's folder"
    require(bool(args.run_name or args.run_timestamp), "--resume", "auto", valid, "pass --run_name lift_seed0 as well.")
    return words if args.run_timestamp else [*rest, "--run_timestamp", args.run_name]
