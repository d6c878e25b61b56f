# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Look into a file of demonstrations, find what is wrong with it, or keep a part of it. No simulator is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.cli import options
from flow_rl.cli.tables import print_table

if TYPE_CHECKING:
    from flow_rl.demos.inspect import Inspection


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=options.HelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("info", "print what a file holds"),
        ("check", "say what is wrong with a file, and end with 1 if anything is"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("file", type=Path, help="HDF5 file in the robomimic / Isaac Lab Mimic layout")
    text = "write the episodes that can be learnt from, or some of them, into a new file"
    command = commands.add_parser("filter", help=text, description=text, formatter_class=options.HelpFormatter)
    command.add_argument("file", type=Path, help="HDF5 file in the robomimic / Isaac Lab Mimic layout")
    command.add_argument("output", type=Path, help="file to write")
    command.add_argument("--successes", action="store_true", help="only episodes that are not marked as failed")
    command.add_argument("--best", type=int, metavar="N", help="only the N episodes of highest return")
    command.add_argument("--first", type=int, metavar="N", help="only the first N of what remains")
    command.add_argument("--filter_key", metavar="KEY", help="only episodes that mask/KEY of the file names")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file")
    args = parser.parse_args(argv)

    with options.one_line_errors():
        if args.command == "filter":
            options.refuse_overwrite("output", args.output, args.overwrite)
            _filter(args)
            return
        from flow_rl.demos.inspect import inspect

        found = inspect(args.file)
    if args.command == "info":
        _print(found)
    for kind, texts in (("fault", found.faults), ("warning", found.warnings)):
        for text in texts:
            print(f"[flow_rl] {kind}: {text}")
    if args.command == "check":
        print(f"[flow_rl] {args.file}: {len(found.faults)} faults, {len(found.warnings)} warnings")
        raise SystemExit(int(bool(found.faults)))


def _filter(args: argparse.Namespace) -> None:
    from flow_rl.demos.inspect import keep

    kept, total = keep(
        args.file,
        args.output,
        successes=args.successes,
        best=args.best,
        first=args.first,
        filter_key=args.filter_key,
    )
    print(f"[flow_rl] {args.output}: {kept} of {total} episodes")


def _print(found: Inspection) -> None:
    """Print all that is known, but for faults."""
    lengths, returns = _spread(found.lengths), _spread(found.returns)
    marked = "not marked" if found.successes is None else str(found.successes)
    filters = ", ".join(f"{key} ({num})" for key, num in found.filters.items())
    facts = {"episodes": len(found.lengths), "samples": sum(found.lengths), "lengths": lengths, "returns": returns}
    facts |= {"successes": marked, "filter keys": filters or "none"}
    print_table(("file", str(found.path)), facts.items())
    print()
    head = ("name", "shape", "dtype", "least", "greatest", "constant")
    rows = [
        (
            *(column.name, " x ".join(map(str, column.shape)) or "1", column.dtype),
            *(f"{column.low:.4g}", f"{column.high:.4g}"),
            "-" if column.is_image else f"{column.constant} of {column.size}",
        )
        for column in found.columns
    ]
    print_table(head, rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    median = 0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2])
    return f"{ordered[0]:g} / {median:g} / {ordered[-1]:g} (least, median, greatest)"
