# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Commands of flow-rl as parts of a suite."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import machine

FLOW_RL = ["-m", "flow_rl.cli.main"]
"""The command ``flow-rl`` behind a Python that need not have it on its path."""

GRACE = 120.0
"""Seconds that a command has to end after it was asked to."""

LOOK = 5.0
"""Seconds between looks at the memory of GPUs."""


class CommandFailed(RuntimeError):
    """A part of a suite could not be made."""


class Stopped(CommandFailed):
    """A part of a suite was ended before it was whole; the next attempt goes on with it."""


class Usage(NamedTuple):
    """What a command needed."""

    memory: int
    """Peak memory of its largest process [KiB]."""
    gpu: list[str] | None = None
    """Names of the GPUs that it saw; None if it computed on the CPU."""
    gpu_memory: float | None = None
    """Peak of the memory in use on one of these, by whomever, looked at every few seconds [GiB]."""


def typed(words: list[str]) -> str:
    """Return a command as a user would type it."""
    return "flow-rl " + shlex.join(words[len(FLOW_RL) :])


def tied(words: list[str], end: str = "KILL") -> list[str]:
    """A command that is ended by a signal when the thread that started it is gone, so that nobody works unseen."""
    tool = shutil.which("setpriv")  # of util-linux
    return [tool, "--pdeathsig", end, "--", *words] if tool else words


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations that training wrote below a folder; a line that is not whole yet is left out.

    What a run that went on from a checkpoint measured once more counts as it was measured last.
    """
    from flow_rl.algorithms.evaluator import LOG  # imports torch

    curve = {}
    for path in sorted(folder.rglob(LOG)):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                point = json.loads(line)
                curve[point["iteration"]] = point
    return [curve[iteration] for iteration in sorted(curve)]


def heed_interrupts() -> None:
    """Let this process end by Ctrl-C and by SIGTERM in the same way, and those it starts by Ctrl-C.

    Shells let background jobs ignore Ctrl-C, and children inherit that. Only the main thread may ask for it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def never() -> bool:
    """Return False: a command ends by itself."""
    return False


def run_command(
    title: str,
    words: list[str],
    log: Path,
    cwd: Path,
    over: Callable[[], bool] = never,
    stop: Callable[[], bool] = never,
    variables: Mapping[str, str] | None = None,
    watch_gpu: bool = False,
) -> Usage:
    """Run a command whose output goes to a file.

    Args:
        title: How messages call it.
        words: Arguments behind this Python.
        log: File for its output.
        cwd: Folder to run in.
        over: Asked every few seconds whether the command shall end as by Ctrl-C.
        stop: Asked likewise whether it shall be given up.
        variables: Variables of its environment beside ours.
        watch_gpu: Whether it computes on GPUs, whose memory is watched.

    Raises:
        Stopped: If it was given up.
        CommandFailed: If it failed.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(variables or {})
    names, most, next_look, asked = None, None, 0.0, False
    if watch_gpu:
        names, most = machine.gpu_names(environment) or None, 0.0
    with log.open("w") as sink:
        command = tied([sys.executable, *words])
        process = subprocess.Popen(command, cwd=cwd, stdout=sink, stderr=subprocess.STDOUT, env=environment)
        try:
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                if stop():
                    raise Stopped(f"{title} was stopped")
                if not asked and over():
                    process.send_signal(signal.SIGINT)
                    asked = True
                if watch_gpu and time.monotonic() >= next_look:
                    most, next_look = max(most, machine.gpu_memory(environment)), time.monotonic() + LOOK
                time.sleep(0.5)
        except BaseException:
            _end(process)
            raise
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGTERM, 128 + signal.SIGTERM):
        raise Stopped(f"{title} was stopped")
    if code < 0:
        with log.open("a") as sink:
            sink.write(f"killed by {signal.Signals(-code).name}\n")
    if code != 0:
        tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-8:])
        raise CommandFailed(f"{title} failed with exit code {code}; see {log}\n{tail}")
    return Usage(usage.ru_maxrss, names, round(most, 2) if names else None)


def _end(process: subprocess.Popen) -> None:
    """End a command, which may take a while to keep what it has; one that does not is killed."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
