# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Look into a file of demonstrations, find what is wrong with it, keep a part of it, convert or replay it.

Files are HDF5 in the layout of robomimic and Isaac Lab Mimic, folders are data sets of Minari or LeRobot, and a name
such as D4RL/door/human-v2 is that of one of Minari's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.cli import options
from flow_rl.cli.tables import print_table
from flow_rl.demos.convert import FORMATS, as_hdf5, convert, format_of, report
from flow_rl.utils.check import require

if TYPE_CHECKING:
    from flow_rl.demos.inspect import Inspection


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["replay"]:  # which starts a simulator and takes its options
        from flow_rl.cli import replay

        sys.argv[0] = "flow-rl data replay"
        replay.main(words[1:])
        return
    args = _parser().parse_args(words)
    with options.one_line_errors():
        {"filter": _filter, "convert": _convert}.get(args.command, _inspect)(args)


def _parser() -> argparse.ArgumentParser:
    parser = options.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("info", "print what a file holds"),
        ("check", "say what is wrong with a file, and end with 1 if anything is"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("file", help="file, folder or name of a data set")
    text = "write the episodes that can be learnt from, or some of them, into a new file"
    command = commands.add_parser("filter", help=text, description=text, formatter_class=options.HelpFormatter)
    command.add_argument("file", help="file, folder or name of a data set")
    command.add_argument("output", type=Path, help="HDF5 file to write")
    command.add_argument("--successes", action="store_true", help="only episodes that are not marked as failed")
    command.add_argument("--best", type=int, metavar="N", help="only the N episodes of highest return")
    command.add_argument("--first", type=int, metavar="N", help="only the first N of what remains")
    command.add_argument("--filter_key", metavar="KEY", help="only episodes that mask/KEY of the file names")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file")
    text = "write demonstrations in another format; LeRobot runs where FLOW_RL_LEROBOT says"
    command = commands.add_parser("convert", help=text, description=text, formatter_class=options.HelpFormatter)
    command.add_argument("file", help="file, folder or name of a data set")
    command.add_argument("output", type=Path, help="HDF5 file, or folder of a data set, to write")
    command.add_argument("--to", choices=FORMATS, help="format to write; robomimic where OUTPUT ends with .hdf5")
    command.add_argument("--fps", type=float, help="samples per second, where the file does not tell")
    names = "observations to keep: KEY, NEW=KEY, or NEW=KEY+KEY to put vectors side by side"
    command.add_argument("--keys", nargs="+", metavar="NEW=KEY", help=names)
    command.add_argument("--lossless", action="store_true", help="LeRobot: keep pictures as they are, not as films")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file or data set")
    text = "play the actions again and count successes; its own --help lists the options"
    commands.add_parser("replay", help=text, add_help=False)
    return parser


def _inspect(args: argparse.Namespace) -> None:
    from flow_rl.demos.inspect import inspect

    with as_hdf5(args.file) as path:
        found = inspect(path)
    found.path = args.file
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

    options.refuse_overwrite("output", args.output, args.overwrite)
    names = ("successes", "best", "first", "filter_key")
    with as_hdf5(args.file) as path:
        kept, total = keep(path, args.output, **{name: getattr(args, name) for name in names})
    print(f"[flow_rl] {args.output}: {kept} of {total} episodes")


def _convert(args: argparse.Namespace) -> None:
    to = args.to or ("robomimic" if args.output.suffix in (".hdf5", ".h5") else None)
    require(to is not None, "--to", to, ", ".join(FORMATS), "say what to write.")
    options.refuse_overwrite("output", args.output, args.overwrite)
    if args.output.exists():
        found, remedy = format_of(args.output), "name another place, or remove what is there yourself."
        same = found == to and args.output.is_file() == (to == "robomimic")
        require(same, "output", str(args.output), f"a place without something else than {to}", remedy)
    counts = convert(args.file, args.output, to, fps=args.fps, keys=args.keys, lossless=args.lossless)
    print("[flow_rl] " + report(args.output, *counts))


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
