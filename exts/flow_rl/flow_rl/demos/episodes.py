# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Episodes one by one, as files of any format give and take them; those of HDF5 are read and written here.

Only h5py and numpy are needed, so that :mod:`.lerobot_format` runs in an environment of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flow_rl.utils.check import InputError, require

from .reader import channels_first, demo_names, flat_rows, open_demos, read_env_args
from .writer import DemoWriter


@dataclass
class Episode:
    """One episode of T samples."""

    obs: dict[str, np.ndarray]
    """Observations by key: vectors (T, O), or images (T, C, H, W) of bytes."""
    actions: np.ndarray
    """Actions, shape (T, A)."""
    rewards: np.ndarray | None = None
    """Rewards, shape (T,), if the file has them."""
    truncated: bool = False
    """Whether the episode was cut, rather than ended by what happened in it."""
    last_obs: dict[str, np.ndarray] | None = None
    """What was observed after the last action, each of shape (O,) or (C, H, W), if the file has it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is known: success, seed, strategy, the task in words."""
    start: dict[str, np.ndarray] | None = None
    """Where everything stood at the beginning, if the file has it; see :mod:`flow_rl.demos.states`."""

    def __len__(self) -> int:
        return len(self.actions)


@dataclass
class Recording:
    """A file of demonstrations, read episode by episode."""

    episodes: Iterable[Episode]
    """The episodes, to be gone through once."""
    env_args: dict[str, Any] = field(default_factory=dict)
    """What the file says about its origin; ``fps`` are samples per second."""

    def fps(self, asked: float | None = None) -> int:
        """Samples per second: those asked for, or else what the file says; raises an InputError where it does not."""
        kwargs = self.env_args.get("env_kwargs")
        stated = self.env_args.get("fps") or (kwargs.get("control_freq") if isinstance(kwargs, dict) else None)
        found = asked or stated
        remedy = "pass --fps, such as --fps 20."
        require(found is not None, "--fps", found, "samples per second, which this file does not tell", remedy)
        require(found >= 1 and float(found).is_integer(), "--fps", found, "a whole number of at least 1", remedy)
        return int(found)


def read_hdf5(path: str | Path, *, with_obs: bool = True) -> Recording:
    """Return the episodes of a file in the layout of :mod:`flow_rl.demos`, of robomimic or of Isaac Lab Mimic.

    Args:
        path: File.
        with_obs: Whether observations are read, which may be large.
    """
    with open_demos(path) as file:
        env_args = read_env_args(file["data"])

    def episodes() -> Iterator[Episode]:
        with open_demos(path) as file:
            for name in demo_names(file, path):
                yield _episode(file["data"][name], f"{path}:data/{name}", with_obs)

    return Recording(episodes(), env_args)


def write_hdf5(recording: Recording, path: str | Path) -> int:
    """Write episodes in the layout of :mod:`flow_rl.demos` and return their number; the file appears when complete."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with DemoWriter(partial, env_args=recording.env_args, overwrite=True) as writer:
            for episode in recording.episodes:
                steps = len(episode)
                ends = np.arange(steps) == steps - 1
                more = {"truncations": np.asarray(ends & episode.truncated, dtype=np.uint8)}
                for key, last in (episode.last_obs or {}).items() if steps else ():
                    more[f"next_obs/{key}"] = np.concatenate([episode.obs[key][1:], last[None]])
                arrays = {"obs": episode.obs, "actions": episode.actions, "rewards": episode.rewards, "dones": ends}
                writer.write(**arrays, more=more, **episode.facts)
        require(writer.num_demos > 0, "episodes", 0, "at least one with samples", "convert another file.")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return writer.num_demos


def select(recording: Recording, keys: Sequence[str] | None) -> Recording:
    """Return a recording whose observations are chosen and named.

    Args:
        recording: Episodes.
        keys: ``new=old`` or ``old``; ``new=a+b`` puts vectors side by side. None for all as they are.

    Raises:
        InputError: If an episode has no such observation.
    """
    if keys is None:
        return recording
    pairs = [(new, (old or new).split("+")) for new, _, old in (word.partition("=") for word in keys)]

    def chosen(obs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name in (name for _, names in pairs for name in names):
            require(name in obs, "--keys", name, ", ".join(sorted(obs)), "name what the file has.")
        return {
            new: np.concatenate([obs[name] for name in names], axis=-1) if len(names) > 1 else obs[names[0]]
            for new, names in pairs
        }

    def episodes() -> Iterator[Episode]:
        for episode in recording.episodes:
            episode.obs = chosen(episode.obs)
            episode.last_obs = episode.last_obs and chosen(episode.last_obs)
            yield episode

    return Recording(episodes(), recording.env_args)


def with_samples(recording: Recording, dropped: list[int]) -> Recording:
    """Return a recording without the episodes that have no samples, whose places it appends to a list."""

    def episodes() -> Iterator[Episode]:
        for index, episode in enumerate(recording.episodes):
            if len(episode) > 0:
                yield episode
            else:
                dropped.append(index)

    return Recording(episodes(), recording.env_args)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a place where a folder is built, which takes its place, and that of an older one, when it is complete."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as aside:
        yield Path(aside, folder.name)
        if folder.exists():
            folder.rename(Path(aside, "older"))
        Path(aside, folder.name).rename(folder)


def first_of(recording: Recording) -> tuple[Episode, Iterator[Episode]]:
    """Return the first episode, and all of them; raises an InputError if there is none."""
    episodes = iter(recording.episodes)
    first = next(episodes, None)
    require(first is not None, "episodes", 0, "at least one with samples", "convert another file.")
    return first, itertools.chain([first], episodes)


def _episode(group: h5py.Group, where: str, with_obs: bool) -> Episode:
    """Return what a group of an HDF5 file holds."""
    if not isinstance(group.get("actions"), h5py.Dataset):
        raise InputError(f"{where} has no dataset 'actions'. See flow-rl data check, and flow-rl data filter.")
    actions = group["actions"][()]
    obs, following = (_arrays(group.get(name) if with_obs else None) for name in ("obs", "next_obs"))
    for key, values in obs.items():
        if len(values) != len(actions):
            raise InputError(
                f"{where} has {len(actions)} actions, but {len(values)} of obs/{key}. See flow-rl data check."
            )
    is_known = len(actions) > 0 and bool(obs) and obs.keys() <= following.keys()
    last = {key: following[key][-1] for key in obs} if is_known else None
    facts = {key: value for key, value in group.attrs.items() if key != "num_samples"}
    cut = np.any(group["truncations"]) if "truncations" in group else not facts.get("success", True)
    rewards = np.ravel(group["rewards"][()]) if "rewards" in group else None
    start: dict[str, np.ndarray] = {}
    if isinstance(group.get("initial_state"), h5py.Group):
        group["initial_state"].visititems(
            lambda path, item: start.update({path: item[0]} if isinstance(item, h5py.Dataset) else {})
        )
    return Episode(obs, flat_rows(actions), rewards, bool(cut), last, facts, start or None)


def _arrays(obs: h5py.Group | h5py.Dataset | None) -> dict[str, np.ndarray]:
    """Return observations by key, images with their channels first; a flat dataset counts as ``policy``."""
    if isinstance(obs, h5py.Dataset):
        return {"policy": obs[()]}
    items = obs.items() if isinstance(obs, h5py.Group) else ()
    arrays = {key: channels_first(item[()]) for key, item in items if isinstance(item, h5py.Dataset)}
    return {key: flat_rows(values) if values.ndim == 1 else values for key, values in arrays.items()}
