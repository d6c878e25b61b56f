# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Trainings in processes of their own, ended at random moments until they are done, are as if nothing had been."""

from __future__ import annotations

import multiprocessing
import random
import signal
from pathlib import Path

import pytest
import torch

from flow_rl.preemption.signals import leave_when_asked
from tests.preemption.training import assert_equal_runs, send, train

ITERATIONS = 8
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL)


def live(folder: Path, learner: str, decision: int, number: int, delay: float) -> None:
    """One process of a run."""
    torch.set_num_threads(1)
    leave_when_asked()  # as the command does
    train(folder, learner, ITERATIONS, decision, send(number, delay))
    for asking in SIGNALS[:2]:  # which may come when all is done, while the process takes itself apart
        signal.signal(asking, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("learner", ["score_flow", "ppo", "rldt", "sac_flow"])
def test_random_ends(learner, seed, tmp_path):
    """Within decisions, updates, evaluations and writing, by all three signals."""
    torch.set_num_threads(1)
    train(tmp_path / "straight", learner, ITERATIONS)
    chance, ends = random.Random(f"{learner} {seed}"), []
    while not ends or ends[-1] != 0:
        moment = chance.randrange(24), chance.choice(SIGNALS), chance.uniform(0.001, 0.3)
        # forked, because importing everything anew takes longer than training
        process = multiprocessing.get_context("fork").Process(
            target=live, args=(tmp_path / "disturbed", learner, *moment)
        )
        process.start()
        process.join(300)
        ends.append(process.exitcode)
        assert ends[-1] in (0, 143, -signal.SIGKILL) and len(ends) < 60, ends
    assert len(ends) > 1
    assert_equal_runs(tmp_path / "straight", tmp_path / "disturbed", ITERATIONS)
