# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Run a suite of learners on tasks, or make tables, curves and a page from the records that suites have left.

flow-rl benchmark SUITE runs what is missing of a suite: the name of one of ours, or a YAML file of yours.
flow-rl benchmark report [SUITE ...] reads records and starts no simulator.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.cli import options

if TYPE_CHECKING:
    from flow_rl.benchmark.harness import Harness

RECORDS = Path("benchmarks/records")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a suite or write a report."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "report":
        report(words[1:])
    else:
        run(words)


def run(words: Sequence[str]) -> None:
    """Run what is missing of a suite."""
    parser = argparse.ArgumentParser(
        prog="flow-rl benchmark", description=__doc__, formatter_class=options.HelpFormatter
    )
    parser.add_argument("suite", metavar="SUITE", help="name or YAML file of a suite, or 'report'")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"), help="folder for what is made")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder for records")
    parser.add_argument("--device", help="where to compute (default: a GPU if there is one)")
    parser.add_argument("--jobs", type=int, default=1, help="commands at a time; on a CPU one per core at most")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="runs whose title fits, such as '*OneLeg* rldt seed 0'"
    )
    parser.add_argument("--list", action="store_true", help="show what is done and what is missing, and run nothing")
    args = parser.parse_args(words)

    with options.one_line_errors():
        from flow_rl.benchmark.command import heed_interrupts
        from flow_rl.benchmark.harness import Harness
        from flow_rl.benchmark.suite import read_suite

        suite = read_suite(args.suite)
        if args.jobs < 1:
            parser.error(f"--jobs {args.jobs} is not a number of commands. Valid: 1 or more")
        device = args.device or ("cuda:0" if options.has_gpu() else "cpu")
        options.require_device("--device", device)
        harness = Harness(
            suite, args.output, args.records, device, lambda text: print(f"[flow_rl] {text}", flush=True), args.only
        )
        missing = harness.missing()
        show(harness)
        print(f"[flow_rl] {len(harness.runs) - len(missing)} of {len(harness.runs)} runs have a record")
        if args.list or not missing:
            return
        heed_interrupts()
        try:
            failed = harness.run(args.jobs)
        except KeyboardInterrupt:
            raise SystemExit("\n[flow_rl] stopped. The same command goes on with what is missing.") from None
        show(harness)
        if failed:
            raise SystemExit(f"[flow_rl] {len(failed)} runs are still missing: {', '.join(r.title for r in failed)}")


def show(harness: Harness) -> None:
    """Print a table of the runs: what each has reached, or that it is missing; what is left out has an empty cell."""
    from rich.console import Console
    from rich.table import Table

    seeds = harness.suite.all_seeds()
    table = Table("task", "learner", *(f"seed {seed}" for seed in seeds), title=harness.suite.name)
    rows = dict.fromkeys((run.task, run.learner) for run in harness.runs)
    states = {(run.task, run.learner, run.seed): harness.states.get(run, "missing") for run in harness.runs}
    for row in rows:
        table.add_row(*row, *(states.get((*row, seed), "") for seed in seeds))
    Console().print(table)


def report(words: Sequence[str]) -> None:
    """Write tables, curves and a page from records."""
    parser = argparse.ArgumentParser(
        prog="flow-rl benchmark report",
        description="Make tables, curves and a page from records.",
        formatter_class=options.HelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="names of suites; by default all that have records")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of records")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"), help="folder of report and pictures")
    parser.add_argument(
        "--fill", type=Path, nargs="*", default=[], metavar="FILE.md", help="files whose tables to renew"
    )
    args = parser.parse_args(words)

    with options.one_line_errors():
        from flow_rl.benchmark.records import read_records
        from flow_rl.benchmark.report import write_report
        from flow_rl.benchmark.tables import fill
        from flow_rl.utils.check import require

        records = read_records(args.records, args.suites)
        require(bool(records), "--records", str(args.records), "a folder with records", "run flow-rl benchmark lift.")
        for path in args.fill:
            fill(path, records)
        print(f"[flow_rl] open {write_report(records, args.output)}")
