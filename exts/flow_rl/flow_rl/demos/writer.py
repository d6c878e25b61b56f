# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Writing demonstrations; the layout is that of :mod:`flow_rl.demos`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flow_rl.utils.files import require_space

SPARE = 2**18
"""Room that a file needs besides its episodes [bytes]."""

FORMAT_VERSION = 1
"""Isaac Lab's data set format: 1 means quaternions are stored as xyzw."""


class DemoWriter:
    """Appends whole episodes to a new HDF5 file.

    The file appears with the first episode and is flushed after each, so an interrupted collection leaves every
    finished episode readable and a collection that fails to start leaves an older file alone.
    """

    def __init__(self, path: str | Path, *, env_args: Mapping[str, Any] | None = None, overwrite: bool = False):
        """Prepare the writer without touching the disk.

        Args:
            path: File to create.
            env_args: Description of the origin, stored as JSON: task, versions, seed, quality.
            overwrite: Whether an existing file may be replaced.
        """
        self.path = Path(path)
        self.num_demos = 0
        self.num_samples = 0
        self._env_args = {"env_name": "", "type": 2, "env_kwargs": {}, **(env_args or {})}
        self._mode = "w" if overwrite else "x"
        self._file: h5py.File | None = None
        if self.path.exists() and not overwrite:
            raise FileExistsError(
                f"output={str(self.path)!r} already exists and is left untouched. Pass --overwrite to replace it, or "
                "another --output."
            )

    def __enter__(self) -> DemoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(
        self,
        *,
        obs: Mapping[str, np.ndarray],
        actions: np.ndarray,
        rewards: np.ndarray | None,
        dones: np.ndarray,
        more: Mapping[str, np.ndarray] | None = None,
        **attrs: bool | int | float | str,
    ) -> None:
        """Append one episode and flush it; nothing is touched if there is no room for it.

        Args:
            obs: Observation groups, each of shape (T, ...).
            actions: Actions per control tick, shape (T, A).
            rewards: Rewards, shape (T,), if there are any.
            dones: Whether the episode ended at this tick, shape (T,).
            more: Further datasets by path, such as ``next_obs/policy``.
            attrs: Facts about the episode, such as success, seed and strategy.
        """
        arrays = [*obs.values(), actions, *(more or {}).values(), *([] if rewards is None else [rewards]), dones]
        require_space(self.path, SPARE + 2 * sum(np.asarray(array).nbytes for array in arrays))
        file = self._open()
        # the episode is built aside and moved in one step: readers never see half of it
        episode = file.create_group("pending")
        for name, value in ({f"obs/{name}": value for name, value in obs.items()} | dict(more or {})).items():
            # the plain areas of pictures pack well
            pictures = np.ndim(value) == 4 and len(value) > 0
            packed = {"compression": "lzf", "chunks": (1, *value.shape[1:])} if pictures else {}
            episode.create_dataset(name, data=value, **packed)
        episode.create_dataset("actions", data=np.asarray(actions, dtype=np.float32))
        if rewards is not None:
            episode.create_dataset("rewards", data=np.asarray(rewards, dtype=np.float32))
        episode.create_dataset("dones", data=np.asarray(dones, dtype=np.uint8))
        episode.attrs.update({"num_samples": len(actions), **attrs})
        file.move("pending", f"data/demo_{self.num_demos}")
        self.num_demos += 1
        self.num_samples += len(actions)
        file["data"].attrs["total"] = self.num_samples
        file.flush()

    def close(self) -> None:
        """Close the file, dropping an episode whose writing was interrupted."""
        if self._file is not None:
            if "pending" in self._file:
                del self._file["pending"]
            self._file.close()
            self._file = None

    def _open(self) -> h5py.File:
        """Return the open file, created at the first call."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(self.path, self._mode)
            self._file.attrs["format_version"] = FORMAT_VERSION
            data = self._file.create_group("data")
            data.attrs.update({"total": 0, "env_args": json.dumps(self._env_args)})
        return self._file
