# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Jobs as tasks of Ray's, with the resources they ask for; ``ray job submit`` runs the launcher itself on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from flow_rl.benchmark.command import tied
from flow_rl.utils.check import InputError, require_package

from . import Job

PASSED_ON = ("FLOW_RL_", "PYTHONPATH", "WANDB_")
"""How the names of variables begin that jobs get from the launcher's environment; Ray's nodes have the others."""


def launch(stages: list[list[Job]], options: dict[str, str], say: Callable[[str], None] = print) -> list[str]:
    """Run jobs, as many at a time as there are resources; returns the titles of those that failed.

    Args:
        stages: Jobs; those of a stage need those of the stages before.
        options: ``address`` of the cluster, such as ``auto`` on one of its machines; by default what RAY_ADDRESS says,
            or else a new one on this machine alone. All others are resources of a job: ``num_cpus``, ``num_gpus``, or a
            name of the cluster's own.
        say: Told of what ends.

    Raises:
        InputError: If Ray is not installed, there is no such cluster, or a resource is no number.
    """
    ray = require_package("ray", "ray", "cluster")
    options = dict(options)
    address = options.pop("address", os.environ.get("RAY_ADDRESS", "local"))
    asked = resources(options)
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    except (ConnectionError, ValueError) as error:
        raise InputError(f"--ray address={address}: {' '.join(str(error).split())}") from None
    try:
        return [title for stage in stages for title in _run(ray, stage, asked, say)]
    finally:
        ray.shutdown()


def resources(options: dict[str, str]) -> dict[str, Any]:
    """Return options of a task's from words, a core where nothing is said.

    Raises:
        InputError: If a value is no number.
    """
    asked: dict[str, Any] = {"num_cpus": 1.0, "num_gpus": 0.0, "resources": {}}
    for name, value in options.items():
        try:
            number = float(value)
        except ValueError:
            raise InputError(
                f"--ray {name}={value}: {value!r} is no number. Valid: address, num_cpus=2, num_gpus=0.5, or a "
                "resource of the cluster's with its amount."
            ) from None
        (asked if name in asked else asked["resources"])[name] = number
    return asked


def _run(ray: Any, jobs: list[Job], asked: dict[str, Any], say: Callable[[str], None]) -> list[str]:
    """Run the jobs of a stage; returns the titles of those that failed."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    # a run that lost its node begins again, from its last checkpoint
    task = ray.remote(max_retries=3, **asked)(_task())
    pending = {
        task.options(name=job.title).remote(tied(list(job.command), "TERM"), str(job.log), os.getcwd(), variables): job
        for job in jobs
    }
    failed = []
    try:
        while pending:
            (ended,), _ = ray.wait(list(pending))
            job = pending.pop(ended)
            try:
                code = ray.get(ended)
            except ray.exceptions.RayError as error:
                code = type(error).__name__
            say(f"{job.title}: " + ("done" if code == 0 else f"failed with {code}; see {job.log}"))
            failed += [job.title] if code != 0 else []
    except BaseException:
        for each in pending:
            ray.cancel(each)
        ray.wait(list(pending), num_returns=len(pending), timeout=60)
        raise
    return failed


def _task() -> Callable[[list[str], str, str, dict[str, str]], int]:
    """What a worker does; a function of no module, so that workers can have it without ours."""

    def work(command: list[str], log: str, folder: str, variables: dict[str, str]) -> int:
        import os
        import subprocess

        with open(log, "a") as sink:
            process = subprocess.Popen(
                command, cwd=folder, env=os.environ | variables, stdout=sink, stderr=subprocess.STDOUT
            )
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise

    return work
