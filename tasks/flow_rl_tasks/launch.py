# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What our scripts share: the command line of the stock tools, the environment, and errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import isaaclab_tasks  # noqa: F401
import torch
from isaaclab.app import add_launcher_args, launch_simulation
from isaaclab.utils import validate
from isaaclab.utils.string import string_to_callable
from isaaclab_rl.entrypoints.common import close_env
from isaaclab_tasks.utils import resolve_task_config, setup_preset_cli

import flow_rl_tasks  # noqa: F401


class Parser(argparse.ArgumentParser):
    """Command line with ``--task`` and ``--seed`` whose other words are presets and Hydra overrides."""

    def __init__(self, description: str, *, simulator: bool = True):
        """Create the parser.

        Args:
            description: Sentence for ``--help``.
            simulator: Whether the script starts a simulator, adding ``--num_envs`` and the launcher's options.
        """
        super().__init__(description=description)
        self._simulator = simulator
        self.add_argument("--task", required=True, help="gym id of the task")
        self.add_argument("--seed", type=int, default=0, help="seed of everything random")
        if simulator:
            self.add_argument("--num_envs", type=int, default=64, help="environments simulated side by side")

    def parse(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
        """Return the options and the remaining words, which are of the form ``key=value``."""
        if self._simulator:
            add_launcher_args(self)
        else:
            self.add_argument("--device", help="device to compute on, such as cpu or cuda:0")
        self.set_defaults(device=None)
        args, overrides = setup_preset_cli(self, argv)
        for word in overrides:
            if "=" not in word or word.startswith("-"):
                self.error(
                    f"unrecognized argument {word!r}. Valid: the options of --help and overrides of the form key=value"
                )
        args.device = resolve_device(args.device)
        if getattr(args, "num_envs", 1) < 1:
            self.error(f"--num_envs {args.num_envs} is not a number of environments. Valid: 1 or more")
        return args, overrides


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors about input into one line on stderr and exit code 2; wraps the checking part of a script."""
    try:
        yield
    except (ValueError, OSError, KeyError, AttributeError, gym.error.Error) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"[flow_rl] error: {message}", file=sys.stderr)
        raise SystemExit(2) from None


def resolve_device(device: str | None) -> str:
    """Return the device to use: the asked one if the machine has it, else the GPU, else the CPU."""
    has_gpu = torch.cuda.is_available()
    if device is None:
        return "cuda:0" if has_gpu else "cpu"
    if device.startswith("cuda") and not has_gpu:
        raise SystemExit(
            f"[flow_rl] error: --device {device} needs a GPU and its driver, but PyTorch finds none. Valid here: cpu. "
            "Pass --device cpu, or leave the option out."
        )
    return device


def find_task(task: str) -> gym.envs.registration.EnvSpec:
    """Return the registration of a task, or raise a ValueError that lists the valid ones."""
    try:
        return gym.spec(task.split(":")[-1])
    except gym.error.Error:
        ours = sorted(name for name, spec in gym.registry.items() if "expert_entry_point" in (spec.kwargs or {}))
        close = difflib.get_close_matches(task, gym.registry, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"--task {task!r} is not registered.{hint} Valid: {', '.join(ours)}, or any of './flow_rl.sh list_envs'."
        ) from None


def entry_point(task: str, name: str) -> Callable[..., Any]:
    """Return what a task registered as ``<name>_entry_point``, imported."""
    kwargs = find_task(task).kwargs
    if f"{name}_entry_point" not in kwargs:
        raise ValueError(
            f"--task {task!r} registers no {name!r}. Valid: a task whose registration has {name}_entry_point."
        )
    return string_to_callable(kwargs[f"{name}_entry_point"])


def env_config(
    args: argparse.Namespace, overrides: Sequence[str], *, horizon: int | None = None, num_envs: int | None = None
) -> Any:
    """Return the checked environment configuration.

    Args:
        args: Parsed options: task, seed, num_envs, device.
        overrides: Presets and Hydra overrides.
        horizon: Chunk length H; the task's default when None.
        num_envs: Number of environments; the option's value when None.
    """
    find_task(args.task)
    env_cfg, _ = resolve_task_config(args.task, None, overrides=list(overrides))
    env_cfg.scene.num_envs = num_envs or args.num_envs
    env_cfg.sim.device = args.device
    env_cfg.seed = args.seed
    if horizon is not None:
        if not hasattr(env_cfg, "set_horizon"):
            raise ValueError(f"--task {args.task!r} has no action chunks: its configuration lacks set_horizon(h).")
        env_cfg.set_horizon(horizon)
    validate(env_cfg)
    return env_cfg


@contextlib.contextmanager
def launch_env(args: argparse.Namespace, env_cfg: Any) -> Iterator[Any]:
    """Start the simulation and yield the manager-based environment; closes both."""
    with launch_simulation(env_cfg, args), contextlib.ExitStack() as cleanup:
        env = gym.make(args.task, cfg=env_cfg)
        cleanup.callback(close_env, env)
        yield env.unwrapped


def refuse_overwrite(option: str, path: Path | None, overwrite: bool) -> None:
    """Raise if a file to be written exists already."""
    if path is not None and path.exists() and not overwrite:
        raise FileExistsError(
            f"{option} {str(path)!r} exists already and is left untouched. Pass --overwrite to replace it, or another "
            f"{option}."
        )


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("flow-rl", "isaaclab", "torch")}
