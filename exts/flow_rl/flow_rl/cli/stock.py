# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's own commands, such as train, play and leapp, whose refusals of input are one line.

``flow-rl train ...`` does what ``isaaclab train ...`` does.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import gymnasium as gym

from flow_rl.cli import dry_run, launch, options, preemption
from flow_rl.cli.overrides import check_overrides
from flow_rl.configs import learners
from flow_rl.ranks import host
from flow_rl.utils.check import InputError

SUFFIX = "_cfg_entry_point"
"""What the host's names of learners end in."""


def main() -> None:
    """Run the command of the command line."""
    import isaaclab.app
    import isaaclab_rl.entrypoints.common
    from isaaclab.cli import cli, load_external_tasks

    words = sys.argv[1:]  # the command rewrites them
    if words[0] == "train":
        with one_line_refusals(words):
            words = preempt(words)
    words, host_address = take_host(words)
    refusals = one_line_refusals(words)
    if words[0] == "train" and is_foreign(words):
        from flow_rl.cli import train_foreign

        sys.argv = ["flow-rl train", *words[1:], "--host", host_address]
        train_foreign.main()
        return
    if words[0] in ("train", "play", "leapp") and not {"-h", "--help"} & set(words):
        load_external_tasks()
        with one_line_refusals(words):
            check_command(words)
    if words[0] == "train" and "--dry_run" in words:
        with one_line_refusals(words):
            dry_run.stock(words)
        return
    common = isaaclab_rl.entrypoints.common
    host.document(common)
    document_host(common)
    if "--distributed" in words and words[0] == "train":
        host.extend(common)
    isaaclab.app.launch_simulation = _inside(isaaclab.app.launch_simulation, refusals, host_address)
    common.resolve_checkpoint_selector = newest_or_best(common.resolve_checkpoint_selector)
    cli()


def preempt(words: Sequence[str]) -> list[str]:
    """Let a scheduler end training, and return the command without the options for it, which the host lacks."""
    import isaaclab_rl.entrypoints.common as common
    import isaaclab_rl.rsl_rl.utils

    from flow_rl.preemption.runner import PreemptibleRunner
    from flow_rl.preemption.signals import leave_when_asked

    leave_when_asked()
    add_arguments = common.add_common_train_args

    def add_common_train_args(parser: argparse.ArgumentParser, **how) -> None:
        add_arguments(parser, **how)
        preemption.add_options(parser)  # for its help
        dry_run.add_option(parser)

    common.add_common_train_args = add_common_train_args
    isaaclab_rl.rsl_rl.utils.OnPolicyRunner = PreemptibleRunner
    words = preemption.as_overrides(words)
    sys.argv[1:] = words
    return words


def take_host(words: Sequence[str]) -> tuple[list[str], str]:
    """Return a command without ``--host``, which Isaac Lab's commands lack, and the address."""
    parser = argparse.ArgumentParser(prog=f"flow-rl {words[0]}", add_help=False, allow_abbrev=False)
    options.add_host_option(parser)
    args, rest = parser.parse_known_args(words)
    sys.argv[1:] = rest
    return rest, args.host


def document_host(common: ModuleType) -> None:
    """Let the help of Isaac Lab's commands name ``--host``."""
    for name in ("add_common_train_args", "add_common_play_args"):
        setattr(common, name, _with_host_option(getattr(common, name)))


def _with_host_option(add_arguments: Callable[..., None]) -> Callable[..., None]:
    def add_all(parser: argparse.ArgumentParser, **how) -> None:
        add_arguments(parser, **how)
        options.add_host_option(parser)

    return add_all


def newest_or_best(resolve: Callable[..., str]) -> Callable[..., str]:
    """Let `--checkpoint best` find a run's `model_best.pt`, and `latest` pass it by.

    The host sorts names, by which `model_best.pt` would be both.
    """

    def resolve_checkpoint_selector(log_root_path: str, selector: str, **how) -> str:
        if how.get("library") == "rsl_rl":
            how["checkpoint_pattern"] = r"model_(\d+|best)\.pt" if selector == "best" else r"model_\d+\.pt"
        return resolve(log_root_path, selector, **how)

    return resolve_checkpoint_selector


@contextlib.contextmanager
def one_line_refusals(words: Sequence[str]) -> Iterator[None]:
    """Turn what is refused into one line on stderr and exit code 2; ``words`` are the command line."""
    try:
        yield
    except InputError as error:
        options.refuse(error)
    except pickle.UnpicklingError as error:
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--checkpoint", default="(the newest)")
        checkpoint = parser.parse_known_args(words)[0].checkpoint
        options.refuse(
            error,
            f"--checkpoint {checkpoint} is refused, nothing in it was executed: it holds more than tensors and plain "
            "values. Valid: files written by flow-rl pretrain or by training. Make it again.",
        )


def check_command(words: Sequence[str]) -> None:
    """Raise an InputError if an override of a stock command cannot be followed; others' tasks are left alone."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--task", default="")
    parser.add_argument("--agent", default="rsl_rl_cfg_entry_point")
    parser.add_argument("--train_env_cfg", action="store_true")
    args, rest = parser.parse_known_args(words)
    if {"-m", "--multirun"} & set(rest):
        raise InputError(
            "--multirun does nothing in Isaac Lab's commands, which read overrides themselves. Remedy: a suite with an "
            "entry for each setting, see flow-rl benchmark."
        )
    task = args.task.split(":")[-1]
    if not task.startswith("FlowRL-") and not _has_learners(task):
        return
    launch.find_task(task)
    overrides = [word for word in rest if word.lstrip("+").startswith(launch.SELECTORS)]
    check_overrides(overrides, task, args.agent, play_mode=words[0] == "play" and not args.train_env_cfg)


def is_foreign(words: Sequence[str]) -> bool:
    """Whether a command names one of our learners for a task that does not offer it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--task", default="")
    parser.add_argument("--agent", default="")
    args, _ = parser.parse_known_args(words)
    if args.agent.removesuffix(SUFFIX) not in learners() or not args.task:
        return False
    from isaaclab.cli import load_external_tasks

    load_external_tasks()
    with one_line_refusals(words):
        offered = launch.find_task(args.task).kwargs
    return f"{args.agent.removesuffix(SUFFIX)}{SUFFIX}" not in offered


def _has_learners(task: str) -> bool:
    """Whether a registered task, perhaps of another package, offers one of our learners."""
    spec = gym.registry.get(task)
    return spec is not None and any(f"{name}_cfg_entry_point" in spec.kwargs for name in learners())


def _inside(launch_simulation, refusals, host_address):
    """Put the refusals inside Isaac Lab's launcher, which prints a traceback of whatever leaves it but exit codes."""

    @contextlib.contextmanager
    def launch_inside(env_cfg, launcher_args=None):
        with options.one_line_errors():
            launch.keep_local(env_cfg, getattr(launcher_args, "visualizer", None), host_address)
        with launch_simulation(env_cfg, launcher_args) as physics, refusals:
            yield physics

    return launch_inside
