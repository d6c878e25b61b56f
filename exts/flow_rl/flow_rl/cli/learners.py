# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""List the learners: how ``--agent NAME_cfg_entry_point`` calls them, where their settings are, and what they are.

With a name, every setting of that learner, who set what holds without an override, and what it is; ``--task`` and
``--presets`` say for whom.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli.options import ArgumentParser, one_line_errors
from flow_rl.cli.tables import print_table
from flow_rl.configs import learners
from flow_rl.utils.check import require, require_choice


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each learner, those of other packages included, or for each setting of one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("learner", nargs="?", metavar="NAME", help="learner whose settings are listed")
    parser.add_argument("--task", metavar="TASK", help="task whose settings of the learner are listed")
    parser.add_argument("--presets", nargs="+", default=[], metavar="NAME", help="presets of the task, such as paper")
    args = parser.parse_args(argv)
    found = learners()
    if args.learner is None:
        if args.task or args.presets:
            parser.error("--task and --presets ask for the NAME of a learner")
        print_table(
            ("learner", "entry point", ""), [(name, found[name], summary(found[name])) for name in sorted(found)]
        )
        return
    with one_line_errors():
        require_choice("learner", args.learner, sorted(found))
        require(args.task or not args.presets, "--presets", args.presets, "those of a task", "name it with --task.")
        show(args.learner, args.task, args.presets)


def show(name: str, task: str | None, presets: Sequence[str]) -> None:
    """Print what a learner is, and its settings."""
    from flow_rl.configs.compose import build, resolve
    from flow_rl.configs.describe import describe_settings

    layers = {"default": build(name)}
    if task:
        from flow_rl.cli.launch import entry_point

        make = entry_point(task, f"{name}_cfg")
        layers["task"] = resolve(make())
        if presets:
            layers["presets"] = resolve(make(), presets)
    print(f"{summary(learners()[name])}.\n")
    print_table(
        ("setting", "value", "set by", ""),
        [
            (each.path, shorten(repr(each.value), 44), each.origin, shorten(each.summary, 100))
            for each in describe_settings(layers)
        ],
    )
    print(
        f"\nflow-rl train --rl_library rsl_rl --task {task or 'TASK'} --agent {name}_cfg_entry_point --checkpoint FILE"
    )


def shorten(text: str, width: int) -> str:
    """Text cut to a width, with dots where something is missing."""
    return text if len(text) <= width else text[: width - 3] + "..."


def summary(entry_point: str) -> str:
    """Return the first sentence of a configuration's description, read without importing it, which takes seconds."""
    module, _, name = entry_point.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return "(not installed)"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return ((found and ast.get_docstring(found[0])) or "").partition(". ")[0]
