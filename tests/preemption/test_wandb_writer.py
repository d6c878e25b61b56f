# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A wandb run that goes on in another process has each iteration once."""

from __future__ import annotations

import signal

import pytest
import wandb

from tests.preemption.training import before, curves, make_runner, send
from tests.test_wandb import read_history


def rows(folder) -> list[tuple[int, float]]:
    """Iterations and learning rates of all offline runs in the order in which they were written."""
    found = [row for file in sorted(folder.glob("offline-run-*/*.wandb")) for row in read_history(file)]
    return [(row["_step"], row["Loss/learning_rate"]) for row in found if "Loss/learning_rate" in row]


def die() -> None:
    raise InterruptedError


@pytest.mark.parametrize("end", ["signal", "killed"])
def test_a_run_goes_on(end, tmp_path, wandb_folder):
    """Killed, it has sent two iterations behind its checkpoint, which it does not send again."""
    settings = {"logger": "wandb", "wandb_project": "test", "eval_interval": 0}
    decision, happens = (14, send(signal.SIGTERM)) if end == "signal" else (38, die)
    with pytest.raises((SystemExit, InterruptedError)):
        before(make_runner(tmp_path, "score_flow", 8, **settings), decision, happens).learn(8)
    wandb.finish()
    make_runner(tmp_path, "score_flow", 8, **settings).learn(8)
    wandb.teardown()
    files = list(wandb_folder.glob("offline-run-*/*.wandb"))
    assert len(files) == 2 and len({file.name for file in files}) == 1, "one id, with a folder for each process"
    steps = [step for step, _ in rows(wandb_folder)]
    assert steps == list(range(8))
    assert [step for step, _ in curves(tmp_path)["Loss/learning_rate"]] == list(range(8))
