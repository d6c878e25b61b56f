# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Starts a command on several ranks by torch's elastic launcher, torchrun, and has the last word on how it ended."""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.preemption.signals import EXIT_CODE, SIGNALS
from flow_rl.utils.check import require

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

ENTRY = "flow_rl.ranks.entry"
"""Module that each rank runs."""

LOST = ("gloo/transport", "DistBackendError", "DistNetworkError", "DistStoreError")
"""What ranks report that another one has left."""


HANDED_ON = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1")
"""Signals that every rank is sent: torchrun's own, and the one with which schedulers warn."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line ask for several ranks."""
    group = parser.add_argument_group("ranks", "Several processes learn one policy, each with environments of its own.")
    group.add_argument("--nproc_per_node", type=int, metavar="N", help="ranks on this machine, on GPUs one for each")
    group.add_argument("--nnodes", type=int, default=1, metavar="M", help="machines that run this same command")
    group.add_argument("--rdzv_endpoint", metavar="HOST:PORT", help="where they meet: one of them, and a free port")
    group.add_argument(
        "--rdzv_id", default="flow_rl", metavar="NAME", help="name of the meeting, alike on all machines"
    )
    group.add_argument(
        "--max_restarts", type=int, default=0, metavar="K", help="how often to go on from the last checkpoint"
    )


def is_asked(words: Sequence[str]) -> bool:
    """Whether a command line asks for ranks."""
    options = {f"--{name}" for name in ("nproc_per_node", "nnodes", "rdzv_endpoint", "rdzv_id", "max_restarts")}
    return any(word.partition("=")[0] in options for word in words)


def main(words: Sequence[str]) -> None:
    """Run ``flow-rl train`` with these words on every rank that they ask for.

    Raises:
        InputError: If what they ask for is not possible.
        SystemExit: With the exit code of the rank that failed first, if one did.
    """
    parser = argparse.ArgumentParser(prog="flow-rl train", add_help=False, allow_abbrev=False)
    add_options(parser)
    parser.add_argument("--device")
    parser.add_argument("--run_timestamp")
    args, _ = parser.parse_known_args(words)
    check(args)
    words = without(words, vars(args).keys() - {"device", "run_timestamp"})
    if args.run_timestamp is None:
        require(
            args.nnodes == 1,
            "--run_timestamp",
            None,
            "a name of the run's folder, the same on all machines",
            "add --run_timestamp=$SLURM_JOB_ID, or another name.",
        )
        words.append(f"--run_timestamp={datetime.datetime.now():%Y-%m-%d_%H-%M-%S}")
    launch(args, [*words, "--distributed"])


def check(args: argparse.Namespace) -> None:
    """Raise an InputError unless as many ranks can run here."""
    for name, least in {"nproc_per_node": 1, "nnodes": 1, "max_restarts": 0}.items():
        value = getattr(args, name)
        require(value is not None and value >= least, f"--{name}", value, f"{least} or more", f"use {least}.")
    met = args.nnodes == 1 or (args.rdzv_endpoint or "").rpartition(":")[2].isdigit()
    require(met, "--rdzv_endpoint", args.rdzv_endpoint, "HOST:PORT, where several machines meet", "name one of them.")
    import torch

    if not (args.device or ("cuda" if torch.cuda.is_available() else "cpu")).startswith("cpu"):
        found = torch.cuda.device_count()
        valid, remedy = f"up to {found}, the GPUs of this machine", "use as many, or --device cpu."
        require(args.nproc_per_node <= found, "--nproc_per_node", args.nproc_per_node, valid, remedy)


def without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return a command line without some options, which have a value each."""
    kept, skip = [], False
    for word in words:
        name, given, _ = word.removeprefix("--").partition("=")
        if skip:
            skip = False
        elif word.startswith("--") and name in options:
            skip = not given
        else:
            kept.append(word)
    return kept


def launch(args: argparse.Namespace, words: Sequence[str], entry: str = ENTRY) -> None:
    """Run a module with these words on every rank, and end as it does.

    The first rank of a machine writes to the console. What the others write is kept until the end, and shown of the
    rank that failed.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)  # not that it ends the other ranks
    if args.nproc_per_node > 1:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, with a warning of five lines
    with tempfile.TemporaryDirectory(prefix="flow_rl_ranks_") as folder:
        quiet = ",".join(f"{rank}:3" for rank in range(1, args.nproc_per_node))
        options = [f"--nproc-per-node={args.nproc_per_node}", f"--nnodes={args.nnodes}", f"--log-dir={folder}"]
        options += [f"--max-restarts={args.max_restarts}", f"--signals-to-handle={','.join(HANDED_ON)}"]
        options += [f"--redirects={quiet}"] if quiet else []
        if args.nnodes == 1 and args.rdzv_endpoint is None:
            options.append("--standalone")
        else:
            options += ["--rdzv-backend=c10d", f"--rdzv-endpoint={args.rdzv_endpoint}", f"--rdzv-id={args.rdzv_id}"]
        try:
            run.run(run.parse_args([*options, "--module", entry, *words]))
        except ChildFailedError as error:
            raise SystemExit(last_word(error, Path(folder), args.nproc_per_node * args.nnodes)) from None
        except SignalException as error:
            print(f"[flow_rl] stopped by {error.sigval.name}, and so were all ranks", file=sys.stderr, flush=True)
            raise SystemExit(EXIT_CODE if error.sigval in SIGNALS else 128 + error.sigval) from None


def last_word(error: ChildFailedError, folder: Path, ranks: int) -> int:
    """Say which rank failed and how, after what it said last, and return the exit code."""
    rank, failure = culprit(error)
    if failure.local_rank > 0:
        logs = sorted(folder.rglob(f"{failure.local_rank}/stderr.log"), key=lambda path: path.stat().st_mtime)
        said = logs[-1].read_text(errors="replace").splitlines()[-20:] if logs else []
        if said:
            print(*said, sep="\n", file=sys.stderr)
    sys.stdout.flush()
    others = {1: "", 2: " The other was ended."}.get(ranks, f" The {ranks - 1} others were ended.")
    where = f"rank {rank} of {ranks} (process {failure.pid} on {socket.gethostname()})"
    print(f"[flow_rl] error: {where} {how(failure)}.{others}", file=sys.stderr, flush=True)
    return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode


def culprit(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """Return the rank that failed first: others fail because they have lost it, or are ended."""
    failures = list(error.failures.items())
    for rank, failure in failures:
        if not any(word in message(failure) for word in LOST) and failure.exitcode != -signal.SIGTERM:
            return rank, failure
    return failures[0]


def how(failure: ProcessFailure) -> str:
    """Say how a process ended."""
    if failure.exitcode < 0:
        hint = ", as the system does when memory runs out" if failure.exitcode == -signal.SIGKILL else ""
        return f"was killed by {failure.signal_name()}{hint}"
    told = message(failure)
    return f"ended with exit code {failure.exitcode}" + (f": {told.splitlines()[0]}" if told else "")


def message(failure: ProcessFailure) -> str:
    """Return the error that a process has recorded, or nothing."""
    return failure.message["message"] if isinstance(failure.message, dict) else ""
