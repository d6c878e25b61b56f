# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The command ``flow-rl``: chooses a command and hands it the rest of the command line.

The commands are modules beside this one that are imported when they are called: help and mistakes cost no second.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from flow_rl.cli import preemption
from flow_rl.cli.options import COMPLETING, DEBUG, has_gpu, one_line_errors
from flow_rl.ranks import launcher
from flow_rl.utils.names import is_gym

COMMANDS = {
    "collect": "write demonstrations of a task's scripted expert",
    "data": "look into, check, filter, convert or replay a file of demonstrations",
    "pretrain": "learn a policy from demonstrations by flow matching",
    "train": "fine-tune a policy by reinforcement learning (Isaac Lab's command)",
    "evaluate": "measure a policy's success, and film it",
    "compare": "film two policies side by side from the same starts",
    "play": "run a trained policy in a viewer (Isaac Lab's command)",
    "watch": "show a policy in the browser",
    "record": "write an episode as a film, a web page and a Rerun recording",
    "serve": "offer a policy to clients of openpi's protocol",
    "export": "write a policy as a package for a robot",
    "leapp": "export a policy with LEAPP (Isaac Lab's command)",
    "report": "write a page and a model card about a training",
    "benchmark": "run a suite of learners on tasks, and report from its records",
    "demo": "collect, pretrain, fine-tune, evaluate and report, from nothing",
    "bandit": "see RLDT at work in the plane, without a simulator",
    "tasks": "list the tasks",
    "learners": "list the learners",
    "new": "write a package of your own that adds a learner, a task or a furniture",
    "doctor": "check what is installed on this machine",
    "completion": "print what a shell needs to complete all this",
}
"""What each command does; all but the stock ones are modules of this package."""

STOCK = ("train", "play", "leapp")
"""Commands of Isaac Lab that we check the input of."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command of the command line."""
    if COMPLETING in os.environ:
        from flow_rl.cli import completion

        completion.complete(COMMANDS, STOCK)
    words = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in words:
        words.remove("--debug")
        os.environ[DEBUG] = "1"
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    command = words[0]
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        print(f"[flow_rl] error: no command {command!r}.{meant} Valid: {', '.join(COMMANDS)}.", file=sys.stderr)
        raise SystemExit(2)
    if command == "train" and launcher.is_asked(words) and not {"-h", "--help", "--dry_run"} & set(words):
        with one_line_errors():
            launcher.main(preemption.as_overrides(words[1:]))
        return
    if not has_gpu():
        # More threads only slow down networks of this size on a machine without a GPU.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if command == "train" and any(is_gym(word.rpartition("=")[2]) for word in words if not word.startswith("env.")):
        sys.argv, command = ["flow-rl train", *words[1:]], "train_foreign"
    elif command in STOCK:
        # Isaac Lab asks for the first GPU unless told otherwise, also where there is none.
        told = any(word.partition("=")[0] == "--device" for word in words)
        sys.argv = ["flow-rl", *words, *([] if told or has_gpu() else ["--device", "cpu"])]
        command = "stock"
    else:
        sys.argv = [f"flow-rl {command}", *words[1:]]
    importlib.import_module(f"flow_rl.cli.{command}").main()


def usage() -> str:
    """Return what ``flow-rl --help`` prints."""
    listed = "\n".join(f"  {name:12}{text}" for name, text in COMMANDS.items())
    return (
        f"usage: flow-rl COMMAND [arguments]\n\n{listed}\n\nflow-rl COMMAND --help lists the arguments of a command.\n"
        + ("--debug shows where in the program an error comes from.")
    )


if __name__ == "__main__":
    main()
