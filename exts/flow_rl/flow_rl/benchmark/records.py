# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Records: one small JSON file a run, with all that is needed to repeat it and all that tables and curves are made of.

Keys of a record:

- ``suite``, ``task``, ``learner`` (the entry's name), ``algorithm`` (the learner's), ``seed``, ``preset``.
- ``commands``: by name, as a user would type them; ``num_envs``, ``budget``, ``evaluation``.
- ``base``: digest of the policy that learning began with, and its evaluation.
- ``curve``: list of evaluations, see :mod:`flow_rl.algorithms.evaluator`; ``env_steps`` counts control steps over all
  environments, ``seconds`` and ``cpu_seconds`` those of training alone. ``final`` is the last of them, with a digit for
  each episode that says whether it was solved; ``best`` chooses among them and is therefore biased upwards.
- ``resumed_after``: iterations after which an interrupted run went on from a checkpoint, with environments reset.
- ``host``: name, processor, cores, load, and the GPUs that the run saw; ``device``, and ``ranks``, the processes that
  trained together. ``peak_memory_gib`` is that of the largest process, ``peak_gpu_memory_gib`` what was in use on one
  GPU, by whomever; both are of the last attempt.
- ``commit``, ``dirty``, ``versions``, ``wall_seconds``, ``date``.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flow_rl.utils.check import InputError
from flow_rl.utils.files import read_json, require_kind

VERSIONS = ("flow-rl", "isaaclab", "rsl-rl-lib", "torch", "warp-lang", "newton", "ovphysx")
"""Packages whose versions are noted."""

REQUIRED = {"suite": str, "task": str, "learner": str, "seed": int, "preset": str, "curve": list, "final": dict}
"""What every record has, and of which kinds."""

POINT = {"iteration": int, "env_steps": int, "seconds": int | float, "success": int | float | None}
POINT |= {"successes": int | float | None, "episodes": int, "mean_return": int | float, "ci95": list | None}
"""Kinds of what an evaluation says."""

REMEDY = "remove it, and run its suite again."


def file_name(task: str, learner: str, seed: int) -> str:
    """Name of a run's record within its suite's folder."""
    return f"{path_name(task)}__{learner}__{seed}.json"


def path_name(task: str) -> str:
    """A task's name as part of a path, without the colons of environments of others."""
    return task.replace(":", "-")


def write_json(path: Path, value: object) -> None:
    """Write a file as a whole: an interrupted write leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("x") as file:
            # a curve's points on a line each: small files, and differences that can be read
            text = json.dumps(value, indent=1, default=str)
            file.write(re.sub(r"\{[^{}]*\"iteration\"[^{}]*\}", _one_line, text) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _one_line(match: re.Match) -> str:
    return " ".join(match[0].split())


def read_records(folder: Path, suites: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return all records below a folder, or those of some suites, sorted by task, learner and seed.

    Raises:
        InputError: If a file is no record.
    """
    wanted, found = set(suites), []
    for path in sorted(folder.rglob("*__*.json")):
        if wanted and path.parent.name not in wanted:
            continue
        found.append(read_record(path))
    return sorted(found, key=lambda record: (record["suite"], record["task"], record["learner"], record["seed"]))


def read_record(path: Path) -> dict[str, Any]:
    """Return a record.

    Raises:
        InputError: If the file is none.
    """
    record = read_json(path, "a record of flow-rl benchmark", REMEDY)
    if missing := sorted(set(REQUIRED) - set(record)):
        raise InputError(f"{path} is no record: it lacks {', '.join(missing)}. Remedy: {REMEDY}")
    points = {"curve": record["curve"], "final": [record["final"]]}
    points["base"] = [record["base"]] if record.get("base") else []
    _check_kinds(path, "", record, REQUIRED)
    for name, several in points.items():
        for point in several:
            _check_kinds(path, f"{name}: ", point, POINT)
    return record


def _check_kinds(path: Path, where: str, values: Any, kinds: dict[str, Any]) -> None:
    """Raise an InputError unless values that are there are of their kinds."""
    require_kind(values, dict, path, "a record of flow-rl benchmark", REMEDY)
    for name, kind in kinds.items():
        value = values.get(name)
        if name in values and (not isinstance(value, kind) or isinstance(value, bool)):
            raise InputError(f"{path} is no record: {where}{name} is {str(value)[:40]!r}. Remedy: {REMEDY}")


def rounded(point: dict[str, Any], outcomes: bool = False) -> dict[str, Any]:
    """An evaluation with as many digits as mean anything, and with the outcome of each episode if asked for."""
    point = {name: value for name, value in point.items() if outcomes or name != "outcomes"}
    digits = {"seconds": 1, "cpu_seconds": 1, "mean_return": 4, "return_std": 4, "mean_episode_length": 1, "success": 6}
    digits |= {"ci95": 4, "return_ci95": 4}
    return {name: _round(value, digits[name]) if name in digits else value for name, value in point.items()}


def _round(value: float | list[float] | None, digits: int) -> float | list[float] | None:
    if value is None:
        return None
    return [round(end, digits) for end in value] if isinstance(value, list) else round(value, digits)


def source() -> dict[str, Any]:
    """Commit of the code, whether files differ from it, and versions of what it stands on."""
    from flow_rl.utils.checkpoint import revision  # imports torch

    commit = revision()
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    clean = commit.removesuffix("-dirty") if commit else None
    return {"commit": clean, "dirty": commit != clean, "versions": versions | {"python": platform.python_version()}}
