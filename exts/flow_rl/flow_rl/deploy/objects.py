# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where objects are, from a file that a tracker keeps writing, or from a function."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require
from flow_rl.utils.files import TEXT, brief, require_file

from .observer import ObjectPose

Objects = Callable[[], Mapping[str, ObjectPose]]
"""Gives the objects that are seen, by their names in the contract."""


class PoseFile:
    """Poses from a JSON file, such as ``{"object": {"position": [0.5, 0, 0.02], "quaternion": [0, 0, 0, 1]}}``.

    Positions are in metres, quaternions (x, y, z, w), both in the frame of the robot's base. A pose was measured at its
    ``"stamp"``, seconds since 1970, or else when the file was written; with ``"stamp": "always"`` it never grows old,
    which is for rehearsals alone. Write the file beside its place and rename it, so that nobody reads half of it.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.monotonic):
        """Open a file; ``clock`` [s] is what the poses' stamps are told on."""
        self._path, self._clock = Path(path), clock
        require_file(self._path, TEXT)
        self()

    def __call__(self) -> dict[str, ObjectPose]:
        """Poses of the objects that the file has; none where there is no file.

        Raises:
            InputError: The file says something else.
        """
        try:
            text, written = self._path.read_text(), self._path.stat().st_mtime
        except FileNotFoundError:
            return {}
        except ValueError as error:  # not UTF-8
            raise InputError(f"{self._path} has no poses of objects: {brief(error)}. Remedy: write JSON.") from error
        remedy = 'give each object a "position" (3) and a "quaternion" (4), and rename files into place.'
        try:
            items = json.loads(text)
            return {name: self._pose(item, written) for name, item in items.items()}
        except Exception as error:  # what Python makes of numbers beyond bounds, brackets without end, and the like
            raise InputError(f"{self._path} has no poses of objects: {brief(error)}. Remedy: {remedy}") from error

    def _pose(self, item: Mapping[str, Any], written: float) -> ObjectPose:
        stamp = item.get("stamp", written)
        age = 0.0 if stamp == "always" else time.time() - float(stamp)
        return make_pose(item["position"], item["quaternion"], self._clock() - age)


def make_pose(position: Any, quaternion: Any, stamp: float) -> ObjectPose:
    """A pose whose numbers make sense, or a ValueError."""
    pos, quat = np.asarray(position, dtype=np.float64), np.asarray(quaternion, dtype=np.float64)
    norm = np.linalg.norm(quat)
    fits = pos.shape == (3,) and quat.shape == (4,) and bool(np.isfinite(pos).all()) and abs(norm - 1.0) < 0.01
    require(fits, "pose", (pos.tolist(), quat.tolist()), "3 finite numbers [m], and a unit quaternion", "x, y, z, w.")
    return ObjectPose(pos, quat / norm, stamp)


def open_objects(source: str, clock: Callable[[], float] = time.monotonic) -> Objects:
    """What a command line names: a file, or ``module:function`` where the function is a source.

    The module is looked for in the present folder too.
    """
    module, colon, function = source.partition(":")
    if not colon or Path(source).exists():
        return PoseFile(source, clock)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise InputError(f"--objects {source!r}: {error}. Valid: a JSON file, or module:function.") from error
