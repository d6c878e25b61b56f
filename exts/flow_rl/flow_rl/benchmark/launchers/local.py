# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Jobs on this machine: one on each GPU, or as many as its cores and its memory allow."""

from __future__ import annotations

import os

from flow_rl.benchmark import machine
from flow_rl.benchmark.harness import Harness, Run

MEMORY = 4.0
"""What a job needs of the machine's memory [GiB]; furniture tasks with 128 environments take two."""


def launch(harness: Harness, jobs: int | None = None) -> list[Run]:
    """Run what is missing; returns the runs that failed."""
    return harness.run(slots(jobs, harness.device))


def slots(jobs: int | None, device: str) -> list[dict[str, str]]:
    """Return, for each of the jobs at a time, variables by which jobs do not fight for GPUs and cores.

    Args:
        jobs: How many; None for as many as fit.
        device: Where they compute; ``cuda:0`` is a GPU of each job's own, another ordinal that GPU for all.
    """
    gpus = machine.visible_gpus(os.environ) if device in ("cuda", "cuda:0") else []
    if jobs is None:
        fitting = min(machine.cores(), int(machine.memory() / MEMORY))
        jobs = len(gpus) or (max(1, fitting) if device == "cpu" else 1)
    # more threads only slow down networks of this size on a CPU; beside a GPU they prepare its work
    threads = 1 if device == "cpu" else max(1, machine.cores() // jobs)
    given = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    chosen = [gpus[index % len(gpus)] for index in range(jobs)] if gpus else []
    # torch's default order is not that of the driver's tools, which the records' figures come from
    of_each = [{"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} for gpu in chosen] or [{}] * jobs
    return [given | each for each in of_each]
