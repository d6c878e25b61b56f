# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Jobs as an array of SLURM's, by its own sbatch: jobs are command lines already, so a library would add nothing.

What runs begin with is an array of its own, which the runs' array waits for. Before a job's time is over or when it is
preempted, its training keeps a checkpoint; the job is queued again and goes on from there.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from flow_rl.benchmark.records import write_json
from flow_rl.utils.check import InputError

from . import FOLDER, Job

SCRIPT = """#!/bin/bash
# Runs the line of {commands} that its index in the array names.
command=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {commands})
again=
trap 'again=yes; kill -TERM "$job"' USR1  # the time is nearly over
trap 'kill -TERM "$job"' TERM
eval "exec $command" &
job=$!
wait "$job"; code=$?
while kill -0 "$job" 2>/dev/null; do wait "$job"; code=$?; done  # a signal ends wait, not the job
# not for ever: a time that is too short for an iteration leads nowhere
if [[ $again && $code -ne 0 && ${{SLURM_RESTART_COUNT:-0}} -lt 100 ]]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""

SETTINGS = {"requeue": "", "open_mode": "append", "signal": "B:USR1@180"}
"""What sbatch is told unless the user says otherwise; training has until its time is over to keep a checkpoint [s]."""


def launch(
    folder: Path,
    stages: list[list[Job]],
    options: dict[str, str],
    at_a_time: int | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Submit the jobs that are not in the queue yet, one array a stage; returns the arrays' numbers.

    Args:
        folder: The suite's, where scripts and numbers of arrays are kept.
        stages: Jobs; those of a stage need those of the stages before.
        options: Of sbatch, such as ``partition``, without dashes; an empty value is an option without one.
        at_a_time: Most jobs of an array that run at a time; None for no bound.
        say: Told of what is submitted.

    Raises:
        InputError: If SLURM is not there or refuses.
    """
    place = folder / "slurm"
    queued = in_queue(place)
    submitted, before = [], []
    for stage in stages:
        jobs = [job for job in stage if job.title not in queued]
        if len(jobs) < len(stage):
            say(f"{len(stage) - len(jobs)} jobs are in SLURM's queue already")
        needed = {queued[job.title] for job in stage if job.title in queued}
        if jobs:
            number = _submit(place, jobs, options, at_a_time, before)
            say(f"{len(jobs)} jobs are array {number} of SLURM's: {jobs[0].title}, ...")
            submitted.append(number)
            needed.add(number)
        before = sorted(needed)
    return submitted


def in_queue(place: Path) -> dict[str, str]:
    """Titles of jobs that wait or run, with the number of their array."""
    found = {}
    for path in sorted(place.glob("*.json")):
        titles = json.loads(path.read_text())
        asked = ["squeue", "--noheader", "--array", "--format=%K", f"--jobs={path.stem}"]
        for index in _run(asked, path.stem, refused="").split():
            found[titles[int(index)]] = path.stem
    return found


def _submit(place: Path, jobs: list[Job], options: dict[str, str], at_a_time: int | None, before: list[str]) -> str:
    """Submit an array, and note its jobs; returns its number."""
    place.mkdir(parents=True, exist_ok=True)
    commands = place / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{time.time_ns() % 10**9:09d}.txt"
    lines = [f"{shlex.join(job.command)} >>{shlex.quote(str(job.log))} 2>&1\n" for job in jobs]
    commands.write_text("".join(lines))
    script = commands.with_suffix(".sh")
    script.write_text(SCRIPT.format(commands=shlex.quote(str(commands))))
    array = f"0-{len(jobs) - 1}" + (f"%{at_a_time}" if at_a_time else "")
    told = {"parsable": "", "array": array, "job_name": f"flow_rl_{place.parent.name}"}
    told["output"] = str(place.parent / FOLDER / "slurm_%A_%a.log")
    if before:
        told["dependency"] = "afterany:" + ":".join(before)  # who failed is told by the jobs that need it
    told |= SETTINGS | options
    words = [f"--{key.replace('_', '-')}" + (f"={value}" if value else "") for key, value in told.items()]
    number = _run(["sbatch", *words, str(script)], script.name).strip().partition(";")[0].split()[-1]
    write_json(place / f"{number}.json", [job.title for job in jobs])
    return number


def _run(words: list[str], about: str, refused: str | None = None) -> str:
    """Run a tool of SLURM's; what it prints, or another text if it refuses.

    Raises:
        InputError: If it is not there, or refuses and no other text is given.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        raise InputError(
            f"--launcher slurm: there is no {words[0]} on this machine. Valid: a login node of a SLURM cluster; "
            "elsewhere --launcher local or ray."
        ) from None
    if done.returncode != 0 and refused is None:
        reason = " ".join(done.stderr.split())
        raise InputError(f"--slurm: {words[0]} refuses {about}: {reason} Valid: see {words[0]} --help.")
    return done.stdout if done.returncode == 0 else refused
