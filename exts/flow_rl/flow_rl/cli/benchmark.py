# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Run a suite of learners on tasks, see how far it is, or make tables, curves and a page from its records.

flow-rl benchmark SUITE runs what is missing of a suite: the name of one of ours, or a YAML file of yours.
flow-rl benchmark status FOLDER shows what waits, runs, is done and has failed in a suite's folder.
flow-rl benchmark report [SUITE ...] reads records and starts no simulator.
flow-rl benchmark scaling measures how training speeds up with ranks.
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
    parts = {"report": report, "status": status, "scaling": scaling}
    if words and words[0] in parts:
        parts[words[0]](words[1:])
    else:
        run(words)


def run(words: Sequence[str]) -> None:
    """Run what is missing of a suite."""
    args = parse(words)
    with options.one_line_errors():
        from flow_rl.benchmark import launchers
        from flow_rl.benchmark.command import heed_interrupts
        from flow_rl.benchmark.harness import Harness
        from flow_rl.benchmark.suite import find_suite, read_suite

        suite = read_suite(args.suite)
        told = launchers.read_options(f"--{args.launcher}", getattr(args, args.launcher, []))
        device = args.device or default_device(args.launcher, told)
        if args.launcher == "local":
            options.require_device("--device", device)
        harness = Harness(suite, args.output, args.records, device, say, args.only)
        missing = harness.missing()
        show(harness)
        print(f"[flow_rl] {len(harness.runs) - len(missing)} of {len(harness.runs)} runs have a record", flush=True)
        if args.list or not missing:
            return
        heed_interrupts()
        try:
            launch(args, harness, find_suite(args.suite).resolve(), told)
        except KeyboardInterrupt:
            raise SystemExit("\n[flow_rl] stopped. The same command goes on with what is missing.") from None


def scaling(words: Sequence[str]) -> None:
    """Measure how training speeds up with ranks."""
    from flow_rl.cli import scaling

    scaling.main(words)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what a command line says of a suite."""
    parser = options.ArgumentParser(prog="flow-rl benchmark", description=__doc__)
    parser.add_argument("suite", metavar="SUITE", help="name or YAML file of a suite, or 'status', 'report', 'scaling'")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"), help="folder for what is made")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder for records")
    parser.add_argument("--device", help="where to compute (default: a GPU if there is one, or if jobs get one)")
    parser.add_argument("--jobs", type=int, help="jobs at a time (default: local one for each GPU or core, slurm all)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="runs whose title fits, such as '*OneLeg* rldt seed 0'"
    )
    parser.add_argument("--list", action="store_true", help="show what is done and what is missing, and run nothing")
    parser.add_argument("--bases", action="store_true", help="make the policies that runs begin with, and no run")
    parser.add_argument("--launcher", choices=("local", "slurm", "ray"), default="local", help="who runs the jobs")
    examples = {"slurm": "sbatch's: partition=gpu gpus=1 time=8:00:00", "ray": "address=auto num_cpus=2 num_gpus=1"}
    for name, example in examples.items():
        text = f"options of --launcher {name}, {example}"
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="KEY=VALUE", help=text)
    args = parser.parse_args(words)
    if args.jobs is not None and args.jobs < 1:
        parser.error(f"--jobs {args.jobs} is not a number of jobs. Valid: 1 or more")
    for name in examples:
        if getattr(args, name) and args.launcher != name:
            parser.error(f"--{name} is for --launcher {name}, and this is {args.launcher}. Valid: one of them")
    if args.launcher == "ray" and args.jobs is not None:
        parser.error("--jobs is not for --launcher ray, which runs as many as fit. Valid: --ray num_cpus=4")
    if args.launcher != "local" and args.bases:
        parser.error(f"--bases is not for --launcher {args.launcher}, which makes policies first. Valid: local")
    return args


def launch(args: argparse.Namespace, harness: Harness, suite: Path, told: dict[str, str]) -> None:
    """Hand what is missing to the launcher, and say what came of it."""
    from flow_rl.benchmark import launchers
    from flow_rl.benchmark.launchers import local, ray, slurm

    if args.launcher == "slurm":
        slurm.launch(harness.folder, launchers.stages(harness, suite), told, args.jobs, say)
        say(f"see flow-rl benchmark status {harness.folder}")
        return
    if args.launcher == "ray":
        ray.launch(launchers.stages(harness, suite), told, say)
        failed = harness.missing()
    elif args.bases:
        if not harness.make_bases():
            raise SystemExit(1)
        return
    else:
        failed = local.launch(harness, args.jobs)
    show(harness)
    if failed:
        raise SystemExit(f"[flow_rl] {len(failed)} runs are still missing: {', '.join(r.title for r in failed)}")


def default_device(launcher: str, told: dict[str, str]) -> str:
    """Device of the jobs: what this machine has, or what is asked for where they run elsewhere."""
    asked = any(name.startswith(("gpu", "gres", "num_gpus")) and told[name] not in ("", "0") for name in told)
    return "cuda:0" if (options.has_gpu() if launcher == "local" else asked) else "cpu"


def say(text: str) -> None:
    """Tell who looks on."""
    print(f"[flow_rl] {text}", flush=True)


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
    parser = options.ArgumentParser(
        prog="flow-rl benchmark report", description="Make tables, curves and a page from records."
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
        from flow_rl.utils.files import reading

        records = read_records(args.records, args.suites)
        require(bool(records), "--records", str(args.records), "a folder with records", "run flow-rl benchmark lift.")
        remedy = "remove the record that is damaged, and run its suite again."
        with reading(args.records, "records of flow-rl benchmark", remedy):
            for path in args.fill:
                fill(path, records)
            print(f"[flow_rl] open {write_report(records, args.output)}")


def status(words: Sequence[str]) -> None:
    """Show how far a suite is."""
    parser = options.ArgumentParser(
        prog="flow-rl benchmark status",
        description="Show what of a suite waits, runs, is done and has failed; needs nothing but the suite's folder.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a suite's, such as outputs/benchmark/lift")
    parser.add_argument("--once", action="store_true", help="print it and end")
    parser.add_argument("--json", action="store_true", help="print it as JSON and end")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks")
    args = parser.parse_args(words)
    if args.every <= 0:
        parser.error(f"--every {args.every:g} is no time to wait. Valid: > 0")

    with options.one_line_errors():
        from flow_rl.benchmark import status

        if args.json:
            print(status.as_json(args.folder))
        else:
            status.show(args.folder, None if args.once else args.every)
