# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Command lines of our commands: what several have in common, and refusals in one line.

Nothing here imports torch, Gymnasium or Isaac Lab before a command line has been read: ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from flow_rl.cli.overrides import given
from flow_rl.utils.check import InputError, require, require_device
from flow_rl.utils.listening import LOCAL
from flow_rl.utils.names import is_gym

OVERRIDES = """Other words choose presets, such as physics=ovphysx or presets=sim_to_real, and override fields of the
configuration, such as env.episode_length_s=8; --help together with --task lists the presets of a task."""
"""What help says of words that are no options."""

LONGEST = 4096
"""Most characters of an option's value, as many as a path may have."""

DEBUG = "FLOW_RL_DEBUG"
"""Environment variable that shows where a refusal comes from, set by ``--debug``."""

COMPLETING = "_ARGCOMPLETE"
"""Environment variable that argcomplete sets where a shell asks how a command line may go on."""

SAMPLING = {"random": "random_noise_ode", "zero": "zero_noise_ode", "stochastic": "stochastic"}
"""Choices of ``--sampling``, and their names in results."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that says what holds without an option, where anything does."""

    def _get_help_string(self, action: argparse.Action) -> str:
        holds = action.default not in ("", [], argparse.SUPPRESS, None) and action.default is not False
        return f"{action.help} (default: %(default)s)" if holds else action.help


class ArgumentParser(argparse.ArgumentParser):
    """Command line that takes no value which means nothing for any option.

    Refused are empty words, numbers that are not finite, counts below 0, and those beyond what 63 bits hold; what else
    an option asks for is checked by its command.
    """

    completing = False

    def __init__(self, *args, formatter_class: type[argparse.HelpFormatter] = HelpFormatter, **how):
        """Create the parser."""
        super().__init__(*args, formatter_class=formatter_class, **how)

    def parse_known_args(self, args=None, namespace=None):
        """Read a command line, or tell the shell how it may go on."""
        if COMPLETING in os.environ and not self.completing:
            from flow_rl.cli import completion

            self.completing = True  # argcomplete reads command lines with the parser itself
            completion.offer(self)
        return super().parse_known_args(args, namespace)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Turn a word into a value, as the base does; also what holds without an option, where that is a word."""
        empty = action.type is not None and not arg_string.strip() and arg_string != action.default
        if empty or "\0" in arg_string or len(arg_string) > LONGEST:
            raise argparse.ArgumentError(action, f"{arg_string[:40]!r} is no value. Valid: a word, or leave it out")
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not one of the choices, as the base does, or that means nothing."""
        super()._check_value(action, value)
        for each in value if isinstance(value, list | tuple) else [value]:
            valid = None
            if isinstance(each, float) and not math.isfinite(each):
                valid = "a finite number"
            elif isinstance(each, int) and not 0 <= each < 2**63:
                valid = "an integer of 0 or more"
            elif each == "":
                valid = "a word"
            if valid is not None:
                raise argparse.ArgumentError(action, f"{each!r} is not valid. Valid: {valid}")


class Parser(ArgumentParser):
    """Command line with ``--task`` and ``--seed`` whose other words are presets and Hydra overrides."""

    def __init__(self, description: str, *, num_envs: int | None = 64):
        """Create the parser.

        Args:
            description: Sentences for ``--help``.
            num_envs: Environments unless others are asked for; None if the command starts no simulator.
        """
        # Isaac Lab's launcher defines its options once more, see `parse`.
        super().__init__(description=description, formatter_class=HelpFormatter, conflict_handler="resolve")
        self.default_num_envs = num_envs
        self.twins: dict[str, tuple[str, object, type]] = {
            "seed": ("agent.seed", 0, int),
            "device": ("agent.device", None, str),
        }
        """Options that override a field, too: its path, what holds without both, and its type."""
        if num_envs is not None:
            self.twins = {"seed": ("env.seed", 0, int), "device": ("env.sim.device", None, str)}
            self.twins["num_envs"] = ("env.scene.num_envs", num_envs, int)
        self.add_argument(
            *("--task", "--env"),
            required=True,
            metavar="NAME",
            help="gym id of the task, see flow-rl tasks; or an environment of Gymnasium's, gym:<id>",
        )
        self.add_argument("--seed", type=int, help="seed of everything random (default: 0)")
        self.add_argument("--device", help="where to compute, such as cpu or cuda:0 (default: a GPU if there is one)")
        if num_envs is not None:
            self.epilog = OVERRIDES
            self.add_argument("--num_envs", type=int, help=f"environments side by side (default: {num_envs})")
            self.add_argument("--visualizer", "--viz", metavar="NAME", help="viewers: newton_gl, viser, rerun")
            add_host_option(self)
            self.add_argument("--max_visible_envs", type=int, help="most environments that viewers show")
            self.add_argument("--num_workers", type=int, default=0, help="gym:<id>: processes that step environments")
        else:
            self.epilog = "Other words override fields of the configuration, such as agent.num_steps=10000."

    def parse(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
        """Return the options and the remaining words, which are of the form ``key=value``."""
        words = list(sys.argv[1:] if argv is None else argv)
        asked = {word.partition("=")[0] for word in words}
        foreign = any(is_gym(word.removeprefix("--task=").removeprefix("--env=")) for word in words)
        if foreign or not (asked & {"-h", "--help"} and asked & {"--task", "--env"}):
            self.parse_known_args(words)  # help and refusals come before Isaac Lab, which takes seconds
        if self.default_num_envs is not None and not foreign:
            args, overrides = self._parse_with_launcher(words)
        else:
            args, overrides = self.parse_known_args(words)
        for word in overrides:
            if "=" not in word or word.startswith("-"):
                self.error(
                    f"unrecognized argument {word!r}. Valid: the options of --help and overrides of the form key=value"
                )
        self._settle(args, overrides)
        if getattr(args, "num_envs", 1) < 1:
            self.error(f"--num_envs {args.num_envs} is not a number of environments. Valid: 1 or more")

        import torch

        with one_line_errors():
            args.device = args.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
            require_device("--device", args.device)
        if args.device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            # our tensors are small: on two busy cores a second thread makes pretraining ten times slower
            torch.set_num_threads(1)
        return args, overrides

    def _parse_with_launcher(self, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Let Isaac Lab's launcher add its options; help shows those of them that our own definitions name."""
        from isaaclab.app import add_launcher_args
        from isaaclab_tasks.utils import setup_preset_cli

        import flow_rl_tasks  # noqa: F401 - whose presets help lists

        named = set(self._option_string_actions)
        add_launcher_args(self)
        for option, action in self._option_string_actions.items():
            if option not in named:
                action.help = argparse.SUPPRESS  # for Isaac Sim
        self.set_defaults(device=None)
        return setup_preset_cli(self, words)

    def _settle(self, args: argparse.Namespace, overrides: Sequence[str]) -> None:
        """Fill in what no option says: an override says it, or else the default holds; both may not differ."""
        for option, (path, default, kind) in self.twins.items():
            if is_gym(args.task):  # whose settings have no scene and no simulator
                path = path.replace("env.sim.", "env.").replace("env.scene.", "env.")
            asked, value = getattr(args, option), given(overrides, path)
            if asked is None:
                setattr(args, option, value if isinstance(value, kind) else default)  # others are refused later
            elif value not in (None, asked):
                self.error(f"--{option} {asked} and {path}={value} say different things. Valid: one of them")


def add_host_option(parser: argparse.ArgumentParser) -> None:
    """Let a command line say where the viewer in the browser listens."""
    text = "address that the viewer in the browser listens at; 0.0.0.0 for all of this machine's, with a token"
    parser.add_argument("--host", metavar="ADDRESS", default=LOCAL, help=text)


def add_code_option(parser: argparse.ArgumentParser) -> None:
    """Let a command line permit programs that policies are."""
    text = "let the base run here if it is a program: a TorchScript file or a Python function"
    parser.add_argument("--execute_code", action="store_true", help=text)


def add_policy_options(parser: Parser) -> None:
    """Let a command line name a policy to evaluate, watch or record."""
    add_code_option(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="pretrained or fine-tuned policy")
    source.add_argument("--package", type=Path, help="exported policy: a folder that flow-rl export wrote")
    source.add_argument(
        "--base", metavar="SOURCE", help="somebody else's policy, such as ws://host:port or policy.onnx"
    )
    source.add_argument("--policy", choices=("expert", "zero", "random"), help="a policy without a checkpoint")
    parser.add_argument("--sampling", choices=SAMPLING, default="random", help="noise of the flow")
    add_expert_options(parser)
    text = "actions of a chunk to execute before the next plan; for a package, and in evaluate for a checkpoint"
    parser.add_argument("--execute", type=int, help=text)
    parser.add_argument("--ensemble", type=float, help="package: decay of earlier plans' weights; see PolicyRunner")


def add_expert_options(parser: Parser) -> None:
    """Let a command line name who demonstrates, and how well."""
    parser.add_argument(
        "--expert",
        metavar="MODULE:FUNCTION",
        help="instead of the task's own: a function of observations by group, (E, ...), that returns actions (E, A)",
    )
    parser.add_argument(
        "--quality",
        type=float,
        default=1.0,
        help="skill of the expert in [0, 1]: noise, hesitation, slips; of a function: 1 minus the deviation of noise",
    )


def add_watch_options(parser: Parser) -> None:
    """Let a command line name a policy, and how much of it is shown."""
    add_policy_options(parser)
    parser.add_argument("--particles", type=int, default=16, help="further samples of the policy to draw")


def split_overrides(args: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    """Give the policy the overrides of its learner, and return those of the environment."""
    args.agent_overrides = [word for word in overrides if word.startswith("agent.")]
    return [word for word in overrides if word not in args.agent_overrides]


def refuse_overwrite(option: str, path: Path | None, overwrite: bool) -> None:
    """Raise before any work if a file to be written exists already, or could not be written in the end.

    Raises:
        FileExistsError: It exists.
        InputError: Its place cannot be written to.
    """
    if path is None:
        return
    try:
        exists = os.path.lexists(path)
        if exists and not overwrite:
            raise FileExistsError(
                f"{option} {str(path)!r} exists already and is left untouched. Pass --overwrite to replace it, or "
                f"another {option}."
            )
        folder = next(each for each in path.absolute().parents if each.exists())
        writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # says it if the name is too long
    except FileExistsError:
        raise
    except (OSError, ValueError) as error:  # names that are too long, or that no file can have
        raise InputError(
            f"{option} {str(path)[:80]!r} cannot be written: {error}. Valid: a path. Choose another."
        ) from None
    require(writable, option, str(path), f"a place that can be written to; {folder} is none", "choose another one.")


def has_gpu() -> bool:
    """Whether this machine has a GPU that CUDA can see; the second is the driver's device within WSL."""
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg"))


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn refusals of input into one line on stderr and exit code 2; bugs keep their tracebacks.

    Besides our own refusals these are those of files, which name the path, and of Gymnasium.
    """
    try:
        yield
    except _refusals() as error:
        refuse(error)


def refuse(error: Exception, message: str | None = None) -> NoReturn:
    """End the command with what an error says, or a better message, in one line; ``--debug`` shows its traceback."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    print(f"[flow_rl] error: {' '.join((message or str(error)).split())}", file=sys.stderr)
    raise SystemExit(2) from None


def _refusals() -> tuple[type[Exception], ...]:
    gym = sys.modules.get("gymnasium")  # what is not imported has refused nothing
    return (InputError, OSError, gym.error.Error) if gym else (InputError, OSError)
