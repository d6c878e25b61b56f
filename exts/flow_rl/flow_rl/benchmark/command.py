# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Commands of flow-rl as parts of a suite."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flow_rl.algorithms.evaluator import LOG

FLOW_RL = ["-m", "flow_rl.cli.main"]
"""The command ``flow-rl`` behind a Python that need not have it on its path."""


class CommandFailed(RuntimeError):
    """A part of a suite could not be made."""


def typed(words: list[str]) -> str:
    """Return a command as a user would type it."""
    return "flow-rl " + shlex.join(words[len(FLOW_RL) :])


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations that training wrote below a folder; a line that is not whole yet is left out.

    What a run that went on from a checkpoint measured once more counts as it was measured last.
    """
    curve = {}
    for path in sorted(folder.rglob(LOG)):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                point = json.loads(line)
                curve[point["iteration"]] = point
    return [curve[iteration] for iteration in sorted(curve)]


def heed_interrupts() -> None:
    """Let this process, and those it starts, end by Ctrl-C; shells let background jobs ignore it, and children inherit.

    Only the main thread may ask for it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def never() -> bool:
    """Return False: a command ends by itself."""
    return False


def run_command(title: str, words: list[str], log: Path, cwd: Path, over: Callable[[], bool] = never) -> int:
    """Run a command whose output goes to a file; returns its peak memory [KiB].

    Args:
        title: How messages call it.
        words: Arguments behind this Python.
        log: File for its output.
        cwd: Folder to run in.
        over: Asked every few seconds whether the command shall end as by Ctrl-C.
    """
    with log.open("w") as sink:
        process = subprocess.Popen([sys.executable, *words], cwd=cwd, stdout=sink, stderr=subprocess.STDOUT)
        try:
            asked = False
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                if not asked and over():
                    process.send_signal(signal.SIGINT)
                    asked = True
                time.sleep(0.5)
        except BaseException:
            process.terminate()
            raise
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code != 0:
        tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-8:])
        raise CommandFailed(f"{title} failed with exit code {code}; see {log}\n{tail}")
    return usage.ru_maxrss
