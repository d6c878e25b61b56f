# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How training speeds up with ranks: at fixed work for each rank, and at fixed work in all.

A record says of each number of ranks how many control steps a second all of them made together, and how long an
iteration's update took; the medians over iterations, of which the first are left out.
"""

from __future__ import annotations

import datetime
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow_rl.evaluation.report import read_scalar
from flow_rl.utils.check import require

from .command import FLOW_RL, run_command
from .machine import gpu_names, host
from .records import path_name, source, write_json

WARM_UP = 2
"""Iterations that are left out: kernels are compiled and memory is allocated in them."""

WORKS = ("per rank", "in all")
"""What stays the same when ranks are added."""


@dataclass
class Scaling:
    """What is measured."""

    task: str
    learner: str
    num_envs: int
    """Environments, of each rank or in all."""
    ranks: Sequence[int]
    iterations: int
    """Iterations of each measurement, besides those left out."""
    device: str
    overrides: Sequence[str] = field(default_factory=list)
    """Further words of the command."""

    def check(self) -> None:
        """Raise an InputError unless it can be measured."""
        require(self.iterations >= 1, "--iterations", self.iterations, "1 or more", "use 10.")
        for ranks in self.ranks:
            valid = "one or more, which share --num_envs evenly"
            fits = ranks >= 1 and self.num_envs % ranks == 0
            require(fits, "--ranks", ranks, valid, f"use a multiple of {max(ranks, 1)} environments.")

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"scaling-{path_name(self.task)}-{self.learner}"

    def command(self, ranks: int, num_envs: int) -> list[str]:
        """Words that train on so many ranks, with so many environments each."""
        words = [*FLOW_RL, "train", "--rl_library", "rsl_rl", "--task", self.task, "--device", self.device]
        words += ["--agent", f"{self.learner}_cfg_entry_point", "--num_envs", str(num_envs)]
        words += ["--max_iterations", str(WARM_UP + self.iterations), "--nproc_per_node", str(ranks)]
        return [*words, "agent.algorithm.from_scratch=true", "agent.algorithm.critic_warmup=0", *self.overrides]


def measure(scaling: Scaling, folder: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train on each number of ranks, and return a record.

    Args:
        scaling: What to measure.
        folder: Where runs and their logs go.
        say: Told of what begins.
    """
    gpus = None if scaling.device == "cpu" else gpu_names(os.environ)
    before, rows, known = host() | {"gpu": gpus}, [], {}
    for work in WORKS:
        for ranks in scaling.ranks:
            each = scaling.num_envs if work == "per rank" else scaling.num_envs // ranks
            if (ranks, each) not in known:
                say(f"{scaling.task} {scaling.learner}: {ranks} ranks of {each} environments")
                known[ranks, each] = _run(scaling, ranks, each, folder / f"{ranks}x{each}")
            rows.append({"work": work, "ranks": ranks, "num_envs_per_rank": each, **known[ranks, each]})
    facts = {name: getattr(scaling, name) for name in ("task", "learner", "num_envs", "device", "iterations")}
    more = {"overrides": list(scaling.overrides), "rows": rows, "date": datetime.date.today().isoformat()}
    return {**facts, **more, **source(), "host": before | {"load_after": host()["load"]}}


def _run(scaling: Scaling, ranks: int, num_envs: int, folder: Path) -> dict[str, float]:
    """One training; its control steps a second, and seconds per iteration of collecting and of updating."""
    folder.mkdir(parents=True)
    run_command(folder.name, scaling.command(ranks, num_envs), folder / "train.log", folder)
    collecting, updating = (
        read_scalar(folder, f"Perf/{name}_time")[1][WARM_UP:] for name in ("collection", "learning")
    )
    seconds = statistics.median(a + b for a, b in zip(collecting, updating, strict=True))
    return {
        "steps_per_second": round(_steps_per_iteration(scaling) * num_envs * ranks / seconds, 1),
        "seconds_per_update": round(statistics.median(updating), 4),
        "seconds_per_collection": round(statistics.median(collecting), 4),
    }


def _steps_per_iteration(scaling: Scaling) -> int:
    """Control steps of an iteration in one environment."""
    from flow_rl.cli import launch
    from flow_rl.configs import learners

    launch.find_task(scaling.task)
    words = [word for word in scaling.overrides if word.startswith(("agent.", "presets="))]
    cfg = launch.agent_config(scaling.task, scaling.learner, learners()[scaling.learner], words)
    return cfg.num_steps_per_env * cfg.actor.horizon


def plot(record: dict[str, Any], path: Path) -> None:
    """Draw control steps a second and seconds per update against ranks; dotted lines are what would be ideal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), dpi=120, layout="constrained")
    for work, shade in zip(WORKS, ("#2563eb", "#d97706"), strict=True):
        rows = [row for row in record["rows"] if row["work"] == work]
        ranks = [row["ranks"] for row in rows]
        for axis, name in zip(axes, ("steps_per_second", "seconds_per_update"), strict=True):
            axis.plot(ranks, [row[name] for row in rows], marker="o", color=shade, label=f"fixed work {work}")
        speed = rows[0]["steps_per_second"] / ranks[0]
        axes[0].plot(ranks, [speed * num for num in ranks], color=shade, linestyle=":", linewidth=1)
    for axis, label in zip(axes, ("control steps / s", "seconds per update"), strict=True):
        axis.set(xlabel="ranks", ylabel=label, ylim=(0, None), xticks=sorted({row["ranks"] for row in record["rows"]}))
        axis.grid(alpha=0.2)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{record['task']}, {record['learner']}, on {', '.join(record['host']['gpu'] or ['CPUs'])}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def write(record: dict[str, Any], folder: Path, name: str) -> Path:
    """Write a record and its picture; returns the record's path."""
    path = folder / f"{name}.json"
    write_json(path, record)
    plot(record, path.with_suffix(".png"))
    return path
