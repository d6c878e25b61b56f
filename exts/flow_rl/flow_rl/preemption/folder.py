# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The folder of a run that goes on: its checkpoints, its evaluations, and who is at work in it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flow_rl.utils.check import InputError
from flow_rl.utils.checkpoint import load_checkpoint

LOCK = ".lock"
"""File in a run's folder that is locked while a process trains there."""


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first; that of its best policy is none of them."""
    found = [path for path in folder.rglob("model_*.pt") if _number(path).isdigit()]
    return sorted(found, key=lambda path: (path.parent.name, int(_number(path))), reverse=True)


def intact_checkpoints(folder: Path) -> Iterator[tuple[Path, dict]]:
    """Yield the checkpoints of a run that can be read, and what is in them, the newest first; says which cannot."""
    for path in checkpoints(folder):
        try:
            yield path, load_checkpoint(path)
        except (InputError, OSError) as error:
            print(f"[flow_rl] passed by: {error}")


def claim(folder: Path) -> IO[str]:
    """Lock a run's folder until the file that is returned is closed, or its process ends, however it ends.

    Raises:
        InputError: Another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(
            f"--run_name: another process trains in {folder}. Valid: a name for each run, such as lift_seed1. "
            "Choose another one, or wait for the other process."
        ) from None
    except OSError:
        print(f"[flow_rl] Files cannot be locked in {folder}: see to it yourself that no other process trains there.")
    return file


def clear_partial(folder: Path) -> None:
    """Remove what writes that were killed have left."""
    for path in folder.glob("*.partial"):
        path.unlink(missing_ok=True)


def cut_lines(path: Path, iteration: int | None) -> None:
    """Keep of a file with a JSON object a line those up to an iteration, or none; half a line at the end goes, too."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            break
        if iteration is not None and entry["iteration"] <= iteration:
            kept.append(line + "\n")
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text("".join(kept))
    partial.replace(path)


def _number(path: Path) -> str:
    return path.stem.removeprefix("model_")
