# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""RLDT's kernels, numbers of particles and temperatures on the bandit with two best actions, as records of a suite."""

from __future__ import annotations

import contextlib
import datetime
import io
import itertools
import json
import shlex
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from flow_rl.evaluation.statistics import wilson_interval
from flow_rl.kernels import svgd_field
from flow_rl.testing import bandit
from flow_rl.utils.check import require

from .machine import host
from .records import file_name, rounded, source, write_json

SUITE = TASK = "bandit"
PARTICLES = (16, 4, 8, 32)
"""Numbers of particles; the bandit's own setting first, so that it is complete first."""
EVALUATIONS = 4
"""Number of evaluations in a run, equally far apart, beside that of the policy it begins with."""


class Variant(NamedTuple):
    """Settings of RLDT's field."""

    kernel: str
    num_particles: int
    temperature: float

    @property
    def name(self) -> str:
        """Name in records and tables."""
        return f"{self.kernel}_p{self.num_particles}" + (f"_t{self.temperature:g}" if self.kernel != "delta" else "")


def variants() -> Iterator[Variant]:
    """All that are studied; particles of the delta kernel do not repel each other, so it has no temperature."""
    for particles in PARTICLES:
        for kernel, temperature in itertools.product(("rbf", "imq"), (0.0, 0.1)):
            yield Variant(kernel, particles, temperature)
        yield Variant("delta", particles, 0.0)


def study(records: Path, seeds: int, iterations: int, say: Callable[[str], None] = print) -> None:
    """Run what has no record yet.

    Args:
        records: Folder of all suites' records.
        seeds: Number of seeds of each variant.
        iterations: Iterations of RLDT.
        say: Told of each run's end.

    Raises:
        InputError: If the number of iterations cannot be divided, or a record was made with another one.
    """
    valid = f"a multiple of {EVALUATIONS}, at least {EVALUATIONS}"
    require(iterations > 0 and iterations % EVALUATIONS == 0, "--iterations", iterations, valid, "use 60.")
    runs = itertools.product(range(seeds), variants())
    for seed, variant in sorted(runs, key=lambda run: PARTICLES.index(run[1].num_particles)):
        path = records / SUITE / file_name(TASK, variant.name, seed)
        if path.is_file():
            found = json.loads(path.read_text())["settings"]["iterations"]
            remedy = "choose another --records, or remove it to run it again."
            require(found == iterations, f"--iterations (of {path})", iterations, str(found), remedy)
            continue
        record = run(variant, seed, iterations)
        write_json(path, record)
        final = record["final"]
        say(f"{variant.name} seed {seed}: reward {final['mean_return']:.3f}, left mode {final['left']:.0%}")


def run(variant: Variant, seed: int, iterations: int) -> dict[str, Any]:
    """Let RLDT learn, and return the record."""
    settings = variant._asdict()
    runner = bandit.make_runner(bandit.configuration(iterations, **settings), seed)
    before, seconds, cpu = host(), 0.0, 0.0
    curve = [evaluate(runner, 0, seconds, cpu)]
    for number in range(1, EVALUATIONS + 1):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            runner.learn(iterations // EVALUATIONS)
        seconds, cpu = seconds + time.perf_counter() - begun, cpu + time.process_time() - begun_cpu
        curve.append(evaluate(runner, number * (iterations // EVALUATIONS), seconds, cpu))
    base = curve[0]
    return {
        "suite": SUITE,
        "task": TASK,
        "learner": variant.name,
        "algorithm": "rldt",
        "seed": seed,
        "preset": "paper's c and b",
        "settings": settings | {"iterations": iterations},
        "commands": {"train": shlex.join(["flow-rl", "bandit", "--study", "--iterations", str(iterations)])},
        "base": {name: base[name] for name in ("success", "ci95", "episodes")},
        "final": curve[-1],
        "best": max(curve, key=lambda point: point["success"]),
        "curve": curve,
        "field_ms": field_milliseconds(variant),
        **source(),
        "host": before | {"gpu": None, "load_after": host()["load"]},
        "device": "cpu",
        "ranks": 1,
        "date": datetime.date.today().isoformat(),
    }


def evaluate(runner: Any, iteration: int, seconds: float, cpu: float) -> dict[str, Any]:
    """What the policy does after some iterations, as an evaluation of a curve."""
    episodes = 4096
    measured = bandit.measure(runner.alg.actor, episodes)
    successes = round(episodes * measured["solved"])
    point = {
        "iteration": iteration,
        "env_steps": iteration * runner.cfg["num_steps_per_env"] * runner.env.num_envs,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "success": successes / episodes,
        "ci95": list(wilson_interval(successes, episodes)),
        "successes": successes,
        "episodes": episodes,
        "mean_return": measured["reward"],
        "left": round(measured["left"], 4),
        "spread": round(measured["spread"], 4),
    }
    return rounded(point)


def field_milliseconds(variant: Variant, repetitions: int = 20) -> float:
    """Median time of the field [ms] at 256 states and chunks of 80 numbers, as in furniture assembly."""
    shape = (256, variant.num_particles, 80)
    particles, gradient = torch.randn(shape), torch.randn(shape)
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        svgd_field(particles, particles, gradient, kernel=variant.kernel, temperature=variant.temperature)
        times.append(1e3 * (time.perf_counter() - begun))
    return round(statistics.median(times), 3)
