# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Who runs the jobs of a suite: this machine, SLURM or Ray; one module each, with a function ``launch``.

A job is a command line, ``flow-rl benchmark SUITE --only RUN``, that makes one run, or what runs begin with, and ends.
What is done and who is at what stands in the suite's folder alone: launchers can be stopped, repeated and mixed.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.benchmark.command import FLOW_RL
from flow_rl.benchmark.records import file_name
from flow_rl.utils.check import require

if TYPE_CHECKING:
    from flow_rl.benchmark.harness import Harness

NAMES = ("local", "slurm", "ray")
"""Launchers, as ``--launcher`` knows them."""

FOLDER = "jobs"
"""Folder in a suite's, of what jobs print."""


@dataclass(frozen=True)
class Job:
    """One command line of a suite."""

    title: str
    command: tuple[str, ...]
    """Words of the command, its Python first."""
    log: Path
    """File for its output; what training prints goes into the run's folder."""


def stages(harness: Harness, suite: Path) -> list[list[Job]]:
    """Return the jobs of what is missing; those of a stage need what those of the stages before make.

    A job whose policy is missing all the same, because another's job failed, makes it itself.
    """
    missing = harness.missing()
    begun_with = harness.begun_with(missing)
    harness.write_plan(begun_with.values())
    (harness.folder / FOLDER).mkdir(parents=True, exist_ok=True)
    folders = ["--output", str(harness.folder.parent), "--records", str(harness.records.parent)]
    command = [sys.executable, *FLOW_RL, "benchmark", str(suite), *folders, "--device", harness.device, "--jobs", "1"]

    def job(run, title: str, log: str, *more: str) -> Job:
        only = ["--only", glob.escape(run.title)]
        return Job(title, (*command, *more, *only), harness.folder / FOLDER / f"{log}.log")

    first = {base: run for run, base in reversed(begun_with.items()) if harness.bases.missing(base)}
    makers = [job(run, base.title, harness.bases.folder(base).name, "--bases") for base, run in first.items()]
    runs = [job(run, run.title, file_name(run.task, run.learner, run.seed).removesuffix(".json")) for run in missing]
    return [stage for stage in (makers, runs) if stage]


def read_options(option: str, words: Sequence[str]) -> dict[str, str]:
    """Return what a launcher is told: ``key=value``, or a key alone.

    Raises:
        InputError: If a word begins with a dash or names nothing.
    """
    pairs = {}
    for word in words:
        key, _, value = word.partition("=")
        require(key.isidentifier(), option, word, "words such as partition=gpu", "write key=value, without dashes.")
        pairs[key] = value
    return pairs
