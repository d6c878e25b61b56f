# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A wandb run that goes on in another process has each iteration once."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest
import torch

from tests.preemption.training import before, curves, make_runner, send
from tests.test_wandb import read_history


def rows(folder) -> list[tuple[int, float]]:
    """Iterations and learning rates of all offline runs in the order in which they were written."""
    found = [row for file in sorted(folder.glob("offline-run-*/*.wandb")) for row in read_history(file)]
    return [(row["_step"], row["Loss/learning_rate"]) for row in found if "Loss/learning_rate" in row]


def live(folder: Path, decision: int, number: int) -> None:
    """A process of the run, up to a signal; ``decision`` -1 is never reached."""
    torch.set_num_threads(1)
    runner = make_runner(folder, "score_flow", 8, logger="wandb", wandb_project="test", eval_interval=0)
    before(runner, decision, send(number)).learn(8)


@pytest.mark.parametrize(("decision", "number"), [(14, signal.SIGTERM), (38, signal.SIGKILL)])
def test_a_run_goes_on(decision, number, tmp_path, wandb_folder):
    """Killed, wandb has lost what it had not written yet; TensorBoard has it still."""
    for moment in (decision, -1):
        process = multiprocessing.get_context("spawn").Process(target=live, args=(tmp_path, moment, number))
        process.start()
        process.join(300)
    assert process.exitcode == 0
    files = list(wandb_folder.glob("offline-run-*/*.wandb"))
    assert len(files) == 2 and len({file.name for file in files}) == 1, "one id, with a folder for each process"
    assert [step for step, _ in rows(wandb_folder)] == list(range(8))
    assert [step for step, _ in curves(tmp_path)["Loss/learning_rate"]] == list(range(8))
