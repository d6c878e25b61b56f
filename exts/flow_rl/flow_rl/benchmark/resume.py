# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How an interrupted run of a suite goes on: from which checkpoint, by which command, and what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flow_rl.preemption.folder import checkpoints, intact_checkpoints  # noqa: F401 - the former for the harness

from .records import write_json

STATE = "run.json"
"""File in a run's folder: what it is a run of, of how many iterations, and after which of them it went on."""


def begin(folder: Path, identity: dict[str, Any], iterations: int | None) -> tuple[Path | None, list[int]]:
    """Prepare a run's folder: what can go on stays, what is of another run or of no use goes.

    Args:
        folder: The run's.
        identity: What must be the same of a run that goes on: its settings, and the policy that it began with.
        iterations: Iterations of the whole run; None where seconds end it.

    Returns:
        The checkpoint to go on from, if there is one, and the iterations after which the run has ever gone on.
    """
    path = folder / STATE
    state = json.loads(path.read_text()) if path.is_file() else {}
    checkpoint, done = None, 0
    if state.get("identity") == identity:
        checkpoint, done = _newest(folder, iterations)
    if checkpoint is None:
        for leftover in folder.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        state = {"identity": identity, "resumed_after": []}
    else:
        state["resumed_after"].append(done)
    write_json(path, state | {"iterations": iterations})
    return checkpoint, state["resumed_after"]


def _newest(folder: Path, iterations: int | None) -> tuple[Path | None, int]:
    for path, checkpoint in intact_checkpoints(folder):
        done = checkpoint["flow_rl"]["iteration"]
        if iterations is None or done < iterations:
            return path, done
    return None, 0


def resumed(words: list[str], checkpoint: Path, done: int) -> list[str]:
    """Return a command of training that goes on from a checkpoint to where the run was to end."""
    words = list(words)
    options = {"--checkpoint": str(checkpoint)}
    if "--max_iterations" in words:
        options["--max_iterations"] = str(int(words[words.index("--max_iterations") + 1]) - done)
    for option, value in options.items():
        if option in words:
            words[words.index(option) + 1] = value
        else:
            words += [option, value]
    return words
