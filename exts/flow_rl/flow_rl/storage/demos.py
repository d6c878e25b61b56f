# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations: writing, reading and serving them as action chunks.

The file is the HDF5 layout shared by robomimic and Isaac Lab Mimic, so their tools read ours and we read theirs::

    data                     attrs: total (samples), env_args (JSON: task, versions, seed, quality, ...)
    data/demo_i              attrs: num_samples, success, seed, strategy
    data/demo_i/obs/<group>  (T, O), or images (T, C, H, W) of bytes
    data/demo_i/actions      (T, A)   one row per control tick
    data/demo_i/rewards      (T,)
    data/demo_i/dones        (T,)

Images are packed one by one with lzf, which h5py brings along: those of plain scenes shrink five to eight times. In
memory they are raw, height x width x 3 bytes each.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from flow_rl.utils.check import InputError

FORMAT_VERSION = 1
"""Isaac Lab's data set format: 1 means quaternions are stored as xyzw."""

OBS_GROUP = "policy"
"""Observation group under which a policy meets the demonstrations' vectors in the environment."""

_COLLECT = "flow-rl collect --task <task> --num_demos 150 --output <file>"


class DemoError(InputError):
    """A demonstration file that cannot be used; the message says which field, why and what to do."""


"""
Writing.
"""


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
        rewards: np.ndarray,
        dones: np.ndarray,
        **attrs: bool | int | float | str,
    ) -> None:
        """Append one episode and flush it.

        Args:
            obs: Observation groups, each of shape (T, ...).
            actions: Actions per control tick, shape (T, A).
            rewards: Rewards, shape (T,).
            dones: Whether the episode ended at this tick, shape (T,).
            attrs: Facts about the episode, such as success, seed and strategy.
        """
        file = self._open()
        # the episode is built aside and moved in one step: readers never see half of it
        episode = file.create_group("pending")
        for name, value in obs.items():
            # the plain areas of pictures pack well
            packed = {"compression": "lzf", "chunks": (1, *value.shape[1:])} if np.ndim(value) == 4 else {}
            episode.create_dataset(f"obs/{name}", data=value, **packed)
        episode.create_dataset("actions", data=np.asarray(actions, dtype=np.float32))
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


"""
Reading.
"""


@dataclass
class Demos:
    """Episodes laid end to end."""

    obs: np.ndarray
    """Vectors of observations, shape (N, O), N being the sum of all episode lengths."""
    actions: np.ndarray
    """Actions per control tick, shape (N, A)."""
    lengths: np.ndarray
    """Number of samples of each episode, shape (M,)."""
    env_args: dict[str, Any] = field(default_factory=dict)
    """What the file says about its origin; empty if it says nothing."""
    images: dict[str, np.ndarray] = field(default_factory=dict)
    """Images of each camera, bytes of shape (N, C, H, W)."""

    @property
    def num_demos(self) -> int:
        """Number of episodes M."""
        return len(self.lengths)

    @property
    def obs_dim(self) -> int:
        """Width of an observation O."""
        return self.obs.shape[1]

    @property
    def action_dim(self) -> int:
        """Width of a single action A."""
        return self.actions.shape[1]


def load_demos(
    path: str | Path,
    *,
    obs_keys: Sequence[str] = ("policy",),
    only_successful: bool = True,
    obs_dim: int | None = None,
    action_dim: int | None = None,
) -> Demos:
    """Read every episode of a file and check it; raises :class:`DemoError` with one clear message.

    Args:
        path: HDF5 file in the robomimic / Isaac Lab Mimic layout.
        obs_keys: Datasets below ``obs``: vectors are concatenated in this order, images are kept by their names.
        only_successful: Whether episodes marked as failed are left out; episodes without a mark are kept.
        obs_dim: Required width of the concatenated observations, if known.
        action_dim: Required width of the actions, if known.
    """
    path = Path(path)
    if not path.is_file():
        raise DemoError(f"demos={str(path)!r} is not a file. Collect demonstrations first: {_COLLECT}")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, tuple(obs_keys), only_successful, obs_dim, action_dim)
    except DemoError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise DemoError(
            f"demos={str(path)!r} cannot be read as HDF5: it is truncated, damaged or of another format ({error}). "
            f"Collect it again: {_COLLECT}"
        ) from error


def _read(
    file: h5py.File,
    path: Path,
    obs_keys: tuple[str, ...],
    only_successful: bool,
    obs_dim: int | None,
    action_dim: int | None,
) -> Demos:
    """Return the checked content of an open file."""
    data = file.get("data")
    if not isinstance(data, h5py.Group):
        raise DemoError(
            f"demos={str(path)!r} has no group 'data' (found: {sorted(file)}). Valid: the robomimic / Isaac Lab Mimic "
            "layout data/demo_i/{obs,actions}. Convert the file or collect demonstrations with collect_demos.py."
        )
    names = sorted((name for name in data if isinstance(data[name], h5py.Group)), key=_natural_key)
    if only_successful:
        names = [name for name in names if bool(data[name].attrs.get("success", True))]
    if not names:
        raise DemoError(
            f"demos={str(path)!r} holds no {'successful ' if only_successful else ''}episode (data has {len(data)} "
            f"entries). Collect some: {_COLLECT}"
        )
    episodes = [_read_episode(data[name], f"{path}:data/{name}", obs_keys) for name in names]
    widths = {"obs_dim": obs_dim or episodes[0][0].shape[1], "action_dim": action_dim or episodes[0][1].shape[1]}
    for name, (obs, actions, images) in zip(names, episodes, strict=True):
        for (label, width), array in zip(widths.items(), (obs, actions), strict=True):
            if array.shape[1] != width:
                raise DemoError(
                    f"{path}:data/{name} has {label}={array.shape[1]}, valid is {width} "
                    f"({'the width of ' + names[0] if None in (obs_dim, action_dim) else 'what the task needs'}). "
                    "Use demonstrations of one task and one observation list."
                )
        for camera, first in episodes[0][2].items():
            if images[camera].shape[1:] != first.shape[1:]:
                raise DemoError(
                    f"{path}:data/{name} has images of shape {images[camera].shape[1:]} in obs/{camera}, {names[0]} of "
                    f"{first.shape[1:]}. Use demonstrations of one camera size."
                )
    return Demos(
        obs=np.concatenate([obs for obs, _, _ in episodes]),
        actions=np.concatenate([actions for _, actions, _ in episodes]),
        lengths=np.array([len(actions) for _, actions, _ in episodes]),
        env_args=_read_env_args(data),
        images={camera: np.concatenate([images[camera] for *_, images in episodes]) for camera in episodes[0][2]},
    )


def _read_episode(
    episode: h5py.Group, where: str, obs_keys: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return vectors (T, O), actions (T, A) and images (T, C, H, W) of one episode after checking them."""
    if not isinstance(episode.get("actions"), h5py.Dataset):
        raise DemoError(
            f"{where} has no dataset 'actions' (found: {sorted(episode)}). The file is incomplete or of another "
            f"layout; collect it again: {_COLLECT}"
        )
    actions = _columns(episode["actions"], f"{where}/actions")
    items = _obs_items(episode, where, obs_keys, actions)
    images = {name: np.asarray(item) for name, item in items.items() if item.ndim == 4 and item.dtype == np.uint8}
    vectors = [
        _columns(item, f"{item.file.filename}:{item.name}") for name, item in items.items() if name not in images
    ]
    if not vectors:
        raise DemoError(
            f"{where} has nothing but images in {sorted(images)}. Valid: at least one dataset of vectors. Name the "
            "robot's own state, too, with --obs_keys."
        )
    obs = np.concatenate(vectors, axis=1)
    num_samples = int(episode.attrs.get("num_samples", len(actions)))
    lengths = {len(actions), len(obs), num_samples, *map(len, images.values())}
    if lengths != {num_samples} or num_samples == 0:
        raise DemoError(
            f"{where} has {len(actions)} actions, {len(obs)} observations and num_samples={num_samples}; valid: equal "
            "and at least 1. The episode is incomplete, remove it or collect again."
        )
    for label, array in (("obs", obs), ("actions", actions)):
        bad = ~np.isfinite(array)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DemoError(
                f"{where}/{label}[{row}, {column}]={array[row, column]} is not finite ({int(bad.sum())} such values). "
                "Valid: finite numbers. Remove the episode or collect again."
            )
    return obs, actions, images


def _obs_items(
    episode: h5py.Group, where: str, obs_keys: tuple[str, ...], actions: np.ndarray
) -> dict[str, h5py.Dataset]:
    """Return the observation datasets by name; Isaac Lab's flat ``obs`` dataset counts as ``policy``."""
    obs = episode.get("obs")
    if isinstance(obs, h5py.Dataset) and obs_keys == ("policy",):
        return {"policy": obs}
    available = sorted(obs) if isinstance(obs, h5py.Group) else []
    for key in obs_keys:
        if not isinstance(obs, h5py.Group) or not isinstance(obs.get(key), h5py.Dataset):
            raise DemoError(
                f"{where} has no dataset 'obs/{key}'. Valid observation keys of this file: {available or 'none'}. "
                "Name the ones to learn from with --obs_keys key1 key2 ..., or collect demonstrations of a task that "
                "shows what is missing: cameras are those of the -Vision variants."
            )
    return {key: obs[key] for key in obs_keys}


def _columns(dataset: h5py.Dataset, where: str) -> np.ndarray:
    """Return a dataset as a float32 matrix, one row per sample; a vector is one column."""
    if dataset.ndim not in (1, 2) or dataset.dtype.kind not in "fiub":
        raise DemoError(
            f"{where} has shape {dataset.shape} and type {dataset.dtype}. Valid: numbers of shape (T, width). "
            "Images are bytes of shape (T, C, H, W). Choose other keys with --obs_keys."
        )
    return np.asarray(dataset, dtype=np.float32).reshape(len(dataset), -1)  # (T, width)


def _read_env_args(data: h5py.Group) -> dict[str, Any]:
    """Return the JSON description of the origin, or an empty one if there is none."""
    try:
        env_args = json.loads(data.attrs.get("env_args", "{}"))
    except (TypeError, ValueError):
        return {}
    return env_args if isinstance(env_args, dict) else {}


def _natural_key(name: str) -> tuple[int, str]:
    """Sort demo_2 before demo_10."""
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else -1, name)


"""
Serving.
"""


class ChunkDataset:
    """Every observation with the H actions that follow it, kept on the device when it fits."""

    def __init__(self, demos: Demos, horizon: int, device: str | torch.device = "cpu"):
        """Cut the episodes into chunks by a sliding window; past the end the last action is repeated.

        Args:
            demos: Episodes.
            horizon: Chunk length H.
            device: Where batches are wanted.
        """
        if horizon < 1:
            raise InputError(f"horizon={horizon} is too short. Valid: 1 or more actions per chunk.")
        self.device = torch.device(device)
        ends = np.repeat(np.cumsum(demos.lengths), demos.lengths)  # (N,)
        rows = np.arange(len(demos.actions))[:, None] + np.arange(horizon)  # (N, H)
        rows = np.minimum(rows, ends[:, None] - 1)
        chunks = torch.from_numpy(demos.actions[rows].reshape(len(rows), -1))  # (N, H*A)
        obs = {OBS_GROUP: demos.obs, **demos.images}
        num_bytes = chunks.nbytes + sum(array.nbytes for array in obs.values())
        home = self.device if _fits(num_bytes, self.device) else torch.device("cpu")
        self.obs = {name: torch.from_numpy(array).to(home) for name, array in obs.items()}
        """Observations, shape (N, O), and images of each camera, bytes of shape (N, C, H, W)."""
        self.chunks = chunks.to(home)
        """Flattened action chunks, shape (N, H*A)."""
        self.lengths = demos.lengths
        """Number of samples of each episode, shape (M,)."""
        self.rows = torch.arange(len(chunks), device=home)
        """Rows of the above that are drawn, of all these episodes."""

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, fraction: float, seed: int = 0) -> tuple[ChunkDataset, ChunkDataset | None]:
        """Return episodes to learn from and held-out ones, without copies; None where there is nothing to hold out.

        Args:
            fraction: Share of episodes to hold out, in [0, 1); at least one is held out if it is positive.
            seed: Seed of the draw.
        """
        if not 0.0 <= fraction < 1.0:
            raise InputError(
                f"validation_fraction={fraction} is not in [0, 1). Use 0.1 to hold out every tenth episode."
            )
        num_demos = len(self.lengths)
        num_held_out = min(max(round(fraction * num_demos), 1 if fraction > 0 else 0), num_demos - 1)
        if num_held_out == 0:
            return self, None
        held_out = np.zeros(num_demos, dtype=bool)
        held_out[np.random.default_rng(seed).permutation(num_demos)[:num_held_out]] = True
        return self._part(~held_out), self._part(held_out)

    def _part(self, chosen: np.ndarray) -> ChunkDataset:
        """The chosen episodes, a mask (M,), in the same memory."""
        part = copy.copy(self)
        part.lengths = self.lengths[chosen]
        part.rows = self.rows[torch.from_numpy(np.repeat(chosen, self.lengths)).to(self.rows.device)]
        return part

    def sample(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return a random batch of observations by group and of chunks (B, H*A), drawn with replacement."""
        ids = self.rows[torch.randint(len(self), (batch_size,), device=self.rows.device, generator=generator)]
        return {name: rows[ids].to(self.device) for name, rows in self.obs.items()}, self.chunks[ids].to(self.device)


def _fits(num_bytes: int, device: torch.device) -> bool:
    """Whether the data takes less than half of the free device memory."""
    return device.type != "cuda" or num_bytes < torch.cuda.mem_get_info(device)[0] / 2
