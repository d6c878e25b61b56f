# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a folder tells of the last attempt that failed in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .command import CommandFailed, Stopped

NAME = "failed.txt"
"""File in a folder whose last attempt failed: the name of its log."""


@contextlib.contextmanager
def noted(folder: Path, log: Path) -> Iterator[None]:
    """Note in a folder whether an attempt fails; one that was stopped has not."""
    path = folder / NAME
    path.unlink(missing_ok=True)
    try:
        yield
    except Stopped:
        raise
    except CommandFailed:
        path.write_text(log.name + "\n")
        raise


def since(folder: Path, time: float) -> bool:
    """Whether an attempt failed after a time [s since the epoch]."""
    path = folder / NAME
    return path.is_file() and path.stat().st_mtime > time


def last_line(folder: Path) -> str | None:
    """Last line of the log of the attempt that failed, if the last one did."""
    path = folder / NAME
    if not path.is_file():
        return None
    log = folder / path.read_text().strip()
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no log")
