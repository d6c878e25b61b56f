# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Reading and checking demonstrations; the layout is that of :mod:`flow_rl.demos`."""

from __future__ import annotations

import contextlib
import errno
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flow_rl.utils.check import InputError, require
from flow_rl.utils.files import is_file, require_memory

_COLLECT = "flow-rl collect --task <task> --num_demos 150 --output <file>"


class DemoError(InputError):
    """A demonstration file that cannot be used; the message says which field, why and what to do."""


@dataclass
class Demos:
    """Episodes laid end to end."""

    obs: np.ndarray
    """Vectors of observations, shape (N, O), N being the sum of all episode lengths."""
    actions: np.ndarray
    """Actions per control tick, shape (N, A)."""
    lengths: np.ndarray
    """Number of samples of each episode, shape (M,)."""
    names: list[str] = field(default_factory=list)
    """Names of the episodes in the file; by default those that a collection would have given them."""
    env_args: dict[str, Any] = field(default_factory=dict)
    """What the file says about its origin; empty if it says nothing."""
    images: dict[str, np.ndarray] = field(default_factory=dict)
    """Images of each camera, bytes of shape (N, C, H, W)."""
    rewards: np.ndarray | None = None
    """Rewards, shape (N,), where they were asked for."""
    filter_keys: list[str] = field(default_factory=list)
    """Lists of episodes that the file has, by which it could have been read."""

    def __post_init__(self):
        self.names = self.names or [f"demo_{i}" for i in range(len(self.lengths))]

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
    filter_key: str | None = None,
    rewards: bool = False,
) -> Demos:
    """Read every episode of a file and check it; raises :class:`DemoError` with one clear message.

    Args:
        path: HDF5 file in the robomimic / Isaac Lab Mimic layout.
        obs_keys: Datasets below ``obs``: vectors are concatenated in this order, images are kept by their names.
        only_successful: Whether episodes marked as failed are left out; episodes without a mark are kept.
        obs_dim: Required width of the concatenated observations, if known.
        action_dim: Required width of the actions, if known.
        filter_key: Name of a list of episodes below ``mask``, as robomimic keeps them; None for all.
        rewards: Whether rewards are read, which every episode must then have.
    """
    path = Path(path)
    with open_demos(path) as file:
        names = demo_names(file, path, only_successful=only_successful, filter_key=filter_key)
        demos = _read(file["data"], names, path, tuple(obs_keys), obs_dim, action_dim)
        demos.filter_keys = list(filter_keys(file))
        if rewards:
            demos.rewards = np.concatenate([_read_rewards(file["data"][name], path) for name in names])
    return demos


@contextlib.contextmanager
def open_demos(path: str | Path) -> Iterator[h5py.File]:
    """Open a file of demonstrations for reading; raises :class:`DemoError` if it cannot be read, now or later."""
    path = Path(path)
    if not is_file(path):
        raise DemoError(f"demos={str(path)!r} is not a file. Collect demonstrations first: {_COLLECT}")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("data"), h5py.Group):
                raise DemoError(
                    f"demos={str(path)!r} has no group 'data' (found: {sorted(file)}). Valid: the robomimic / Isaac "
                    "Lab Mimic layout data/demo_i/{obs,actions}. Convert the file or collect demonstrations with "
                    "flow-rl collect."
                )
            yield file
    except InputError:
        raise
    except Exception as error:  # of kinds that nobody lists
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of what is written meanwhile
        if "unable to lock file" in str(error):
            raise DemoError(
                f"demos={str(path)!r} is being written by another process. Wait until it has ended; what it has "
                "collected is safe."
            ) from error
        raise DemoError(
            f"demos={str(path)!r} cannot be read as HDF5: it is truncated, damaged or of another format ({error}). "
            f"Collect it again: {_COLLECT}"
        ) from error


def filter_keys(file: h5py.File) -> dict[str, list[str]]:
    """Return robomimic's lists of episodes, ``mask/<key>``, by key."""
    masks = file.get("mask")
    if not isinstance(masks, h5py.Group):
        return {}
    require_memory(
        file.filename, sum(math.prod(each.shape or ()) * 8 for each in masks.values() if isinstance(each, h5py.Dataset))
    )
    return {
        key: [name.decode() if isinstance(name, bytes) else str(name) for name in np.ravel(masks[key][()])]
        for key in masks
        if isinstance(masks[key], h5py.Dataset)
    }


def demo_names(
    file: h5py.File, path: str | Path, *, only_successful: bool = False, filter_key: str | None = None
) -> list[str]:
    """Return the names of episodes in numeric order; raises :class:`DemoError` if there is none.

    The arguments are those of :func:`load_demos`.
    """
    data, known = file["data"], filter_keys(file)
    names = sorted((name for name in data if isinstance(data[name], h5py.Group)), key=_natural_key)
    if filter_key is not None:
        require(
            filter_key in known, "--filter_key", filter_key, ", ".join(known) or "none in this file", "leave it out."
        )
        names = [name for name in names if name in set(known[filter_key])]
    if only_successful:
        names = [name for name in names if bool(data[name].attrs.get("success", True))]
    if not names:
        raise DemoError(
            f"demos={str(path)!r} holds no {'successful ' if only_successful else ''}episode (data has {len(data)} "
            f"entries). Collect some: {_COLLECT}"
        )
    return names


def _read(
    data: h5py.Group,
    names: list[str],
    path: Path,
    obs_keys: tuple[str, ...],
    obs_dim: int | None,
    action_dim: int | None,
) -> Demos:
    """Return the checked content of the episodes of these names."""
    check_memory(data, names, path)
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
        names=names,
        env_args=read_env_args(data),
        images={camera: np.concatenate([images[camera] for *_, images in episodes]) for camera in episodes[0][2]},
    )


def check_memory(data: h5py.Group, names: Sequence[str], path: Path) -> None:
    """Raise an InputError if episodes would not fit into memory, as files may claim that were never filled."""
    sizes: list[int] = []

    def add(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            sizes.append(math.prod(item.shape) * max(item.dtype.itemsize, 4))

    for name in names:
        data[name].visititems(add)
    require_memory(path, sum(sizes))


def _read_rewards(episode: h5py.Group, path: Path) -> np.ndarray:
    """Return the rewards (T,) of an episode after checking them."""
    where, steps = f"{path}:{episode.name}/rewards", len(episode["actions"])
    if not isinstance(episode.get("rewards"), h5py.Dataset):
        raise DemoError(
            f"{where} is missing. Valid: one number a step, as flow-rl collect writes them; critics learn from them. "
            "Add them, or leave the demonstrations out."
        )
    values = np.asarray(episode["rewards"], dtype=np.float32).reshape(-1)
    if len(values) != steps or not np.isfinite(values).all():
        raise DemoError(
            f"{where} has {len(values)} numbers for {steps} actions, or one that is not finite. Valid: one finite "
            "number a step. Remove the episode or collect again."
        )
    return values


def _read_episode(
    episode: h5py.Group, where: str, obs_keys: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return vectors (T, O), actions (T, A) and images (T, C, H, W) of one episode after checking them."""
    if not isinstance(episode.get("actions"), h5py.Dataset):
        raise DemoError(
            f"{where} has no dataset 'actions' (found: {sorted(episode)}). The file is incomplete or of another "
            f"layout; collect it again: {_COLLECT}"
        )
    if len(episode["actions"]) == 0:
        raise DemoError(
            f"{where} has no samples. Valid: at least one. Leave such episodes out: flow-rl data filter IN OUT."
        )
    actions = _columns(episode["actions"], f"{where}/actions")
    items = _obs_items(episode, where, obs_keys, actions)
    images = {
        name: channels_first(item[()]) for name, item in items.items() if item.ndim == 4 and item.dtype == np.uint8
    }
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
    return flat_rows(np.asarray(dataset, dtype=np.float32))


def flat_rows(values: np.ndarray) -> np.ndarray:
    """Return values (T, ...) as rows (T, width), also where T is 0; numbers (T,) are one column."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def channels_first(values: np.ndarray) -> np.ndarray:
    """Return images (T, C, H, W) of bytes where they are (T, H, W, C), as robomimic keeps them; all else as it is."""
    if values.ndim != 4 or values.dtype != np.uint8:
        return values
    last = values.shape[3] in (1, 3) and values.shape[1] not in (1, 3)
    return np.ascontiguousarray(np.moveaxis(values, 3, 1)) if last else values


def read_env_args(data: h5py.Group) -> dict[str, Any]:
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
