# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Write a package of your own that adds a learner, a task or a furniture to flow_rl, works, and waits for your idea."""

from __future__ import annotations

import importlib.util
import keyword
from collections.abc import Sequence
from pathlib import Path
from string import Template

from flow_rl.cli import options
from flow_rl.configs import learners
from flow_rl.utils.check import require, require_choice
from flow_rl.utils.plugins import load_tasks

TEMPLATES = Path(__file__).parent / "templates"

KINDS = sorted(path.name for path in TEMPLATES.iterdir())
"""What can be added: the folders of templates."""


def main(argv: Sequence[str] | None = None) -> None:
    """Check the name and write the package."""
    parser = options.ArgumentParser(prog="flow-rl new", description=__doc__)
    parser.add_argument("kind", choices=KINDS, help="what to add")
    parser.add_argument("name", help="its name, which commands and the package get, such as my_idea")
    parser.add_argument("--output", type=Path, help="folder to write; by default ./<name>")
    args = parser.parse_args(argv)
    with options.one_line_errors():
        output = write(args.kind, args.name, args.output or Path(args.name))
    print(f"[flow_rl] {output}: README.md says how to go on")


def write(kind: str, name: str, output: Path) -> Path:
    """Write the package of a kind into a new folder and return it.

    Raises:
        InputError: If the kind is none of :data:`KINDS`, the name is no package's, or taken, or the folder exists.
    """
    require_choice("KIND", kind, KINDS)
    require(
        name.isidentifier() and name.isascii() and name == name.lower() and not keyword.iskeyword(name),
        "NAME",
        name,
        "small letters, digits and underscores, as of a Python module",
        "choose one such as my_idea.",
    )
    class_name = "".join(word.capitalize() for word in name.split("_"))
    require(class_name[:1].isalpha(), "NAME", name, "a name that begins with a letter", "choose one such as my_idea.")
    taken = set(learners()) if kind == "learner" else _registered_names()
    listed = ", ".join(sorted(taken))
    require(not taken & {name, class_name}, "NAME", name, f"none of {listed}", "choose another.")
    spec = importlib.util.find_spec(name)
    is_free = spec is None or spec.origin is None  # a folder of that name is no package
    require(is_free, "NAME", name, "a name that no installed package or module has", "choose another.")
    require(not output.exists(), "--output", str(output), "a folder that does not exist", "choose another.")
    words = {"name": name, "class_name": class_name, "distribution": name.replace("_", "-")}
    root = TEMPLATES / kind
    for path in sorted(root.rglob("*.txt")):
        parts = [name if part == "package" else part for part in path.relative_to(root).with_suffix("").parts]
        target = output.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(path.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return output


def _registered_names() -> set[str]:
    """Second words of registered tasks, such as OneLeg of FlowRL-OneLeg-Low-Franka, which others would replace."""
    import gymnasium as gym

    load_tasks()
    return {task.split("-")[1] for task in gym.registry if task.startswith("FlowRL-")}
