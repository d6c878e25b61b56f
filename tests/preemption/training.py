# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Trainings on the point mass that end by a signal, and what they leave in their folder."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict

from flow_rl.preemption.runner import PreemptibleRunner
from flow_rl.testing import PointMass, small_config
from flow_rl.testing.learners import tensors
from flow_rl.utils.checkpoint import load_checkpoint

SMALL = {"num_critic_updates": 16, "critic_batch_size": 16, "save_replay": True}
TIMED = ("Perf/", "Loss/seconds_", "Loss/eval_seconds")
"""Curves that no two runs have in common; so are those over seconds."""


def send(number: int, delay: float = 0.0) -> Callable[[], None]:
    """Return what sends this process a signal, at once or in so many seconds."""
    if delay == 0.0:
        return lambda: os.kill(os.getpid(), number)
    return lambda: threading.Timer(delay, os.kill, (os.getpid(), number)).start()


def make_runner(folder: Path, learner: str, iterations: int, **fields: Any) -> PreemptibleRunner:
    """Return a runner that goes on in a folder, and whose checkpoints hold everything; ``fields`` are the runner's.

    TensorBoard reads the files of a folder by the second in their names and then by a process's counter as text (10
    before 9). Jobs that go on are never so fast, tests are: they wait for the next second.
    """
    while list(folder.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.05)
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)  # all that checkpoints hold
    own = small_config(learner)["algorithm"]
    cfg = small_config(learner, **{name: value for name, value in SMALL.items() if name in own})
    cfg |= {"max_iterations": iterations, "save_interval": 3, "resume": True, "eval_interval": 2, "eval_episodes": 16}
    cfg["grace"] = 600.0  # for busy machines; what is stopped earlier is no longer the same
    env = PointMass(8)
    env.unwrapped.cfg.log_dir = str(folder)
    return PreemptibleRunner(env, cfg | fields, log_dir=str(folder), device="cpu")


def before(runner: PreemptibleRunner, decision: int, happens: Callable[[], None]) -> PreemptibleRunner:
    """Let something happen before a decision of training; an iteration has six."""
    act, left = runner.alg.act, [decision]

    def act_later(obs: TensorDict) -> torch.Tensor:
        if left[0] == 0:
            happens()
        left[0] -= 1
        return act(obs)

    runner.alg.act = act_later
    return runner


def train(
    folder: Path,
    learner: str,
    iterations: int,
    decision: int = -1,
    happens: Callable[[], None] = lambda: None,
    **fields: Any,
) -> None:
    """Train until something happens before a decision, or to the end."""
    before(make_runner(folder, learner, iterations, **fields), decision, happens).learn(iterations)


def learnt(folder: Path, iteration: int) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint of an iteration."""
    return tensors(load_checkpoint(folder / f"model_{iteration}.pt"))


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Iterations and values of all curves as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(row.step, row.value) for row in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def evaluations(folder: Path) -> list[dict]:
    """What evaluations found, without the time they took."""
    rows = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.endswith("seconds")} for row in rows]


def assert_equal_runs(straight: Path, disturbed: Path, iterations: int) -> None:
    """Check that two runs learnt the same, bit by bit, and have the same curves, without gap and repetition."""
    expected, found = learnt(straight, iterations - 1), learnt(disturbed, iterations - 1)
    assert expected.keys() == found.keys()
    assert [path for path, value in expected.items() if not torch.equal(value, found[path])] == []
    assert evaluations(disturbed) == evaluations(straight)
    rows, again = curves(straight), curves(disturbed)
    assert [step for step, _ in again["Loss/learning_rate"]] == list(range(iterations))
    assert again.keys() == rows.keys()
    for tag in rows:
        if not tag.startswith(TIMED) and not tag.endswith("/time"):
            assert str(again[tag]) == str(rows[tag]), tag  # as text, in which one NaN is like another
