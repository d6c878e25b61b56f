# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""List the learners: how ``--agent NAME_cfg_entry_point`` calls them, where their settings are, and what they are."""

from __future__ import annotations

import argparse
import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli.tables import print_table
from flow_rl.configs import learners


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each learner, those of other packages included."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    found = learners()
    print_table(("learner", "entry point", ""), [(name, found[name], summary(found[name])) for name in sorted(found)])


def summary(entry_point: str) -> str:
    """Return the first sentence of a configuration's description, read without importing it, which takes seconds."""
    module, _, name = entry_point.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return "(not installed)"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return ((found and ast.get_docstring(found[0])) or "").partition(". ")[0]
