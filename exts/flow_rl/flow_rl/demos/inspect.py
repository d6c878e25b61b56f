# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a file of demonstrations holds, and what is wrong with it; the layout is that of :mod:`flow_rl.demos`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from flow_rl.utils.check import require

from .outliers import SHOWN, describe_outliers, describe_places
from .reader import check_memory, demo_names, filter_keys, open_demos


@dataclass
class Column:
    """One observation, or the actions, over all episodes."""

    name: str
    shape: tuple[int, ...]
    """Shape of a sample."""
    dtype: str
    low: float
    high: float
    constant: int
    """Coordinates that never change, of `size`."""
    size: int

    @property
    def is_image(self) -> bool:
        """Whether samples are pictures."""
        return len(self.shape) == 3


@dataclass
class Inspection:
    """All that is said of a file."""

    path: str | Path
    lengths: list[int] = field(default_factory=list)
    """Samples of each episode."""
    returns: list[float] = field(default_factory=list)
    """Sums of rewards of the episodes that have any."""
    successes: int | None = None
    """Episodes marked as successful; None where none is marked."""
    columns: list[Column] = field(default_factory=list)
    filters: dict[str, int] = field(default_factory=dict)
    """Filter keys, and how many episodes each names."""
    faults: list[str] = field(default_factory=list)
    """What keeps the file from being learnt from, each with a remedy."""
    warnings: list[str] = field(default_factory=list)
    """What spoils learning without keeping anyone from it."""


def inspect(path: str | Path) -> Inspection:
    """Read a file and look for faults, without stopping at the first.

    Raises:
        DemoError: If the file cannot be opened, or has no episodes.
    """
    found = Inspection(Path(path))
    with open_demos(path) as file:
        data, names = file["data"], demo_names(file, path)
        check_memory(data, names, Path(path))
        found.filters = {key: len(chosen) for key, chosen in filter_keys(file).items()}
        marks = [bool(data[name].attrs["success"]) for name in names if "success" in data[name].attrs]
        found.successes = sum(marks) if marks else None
        arrays: dict[str, list[tuple[str, np.ndarray]]] = defaultdict(list)
        contents = defaultdict(list)
        for name in names:
            episode = data[name]
            found.lengths.append(_length(episode, found))
            if isinstance(episode.get("rewards"), h5py.Dataset):
                found.returns.append(float(np.sum(episode["rewards"])))
            digest = hashlib.sha256()
            for key, dataset in _datasets(episode):
                values = dataset[()]
                digest.update(key.encode() + values.tobytes())
                if values.ndim == 4 and len(values) > 0:  # of pictures the ends are enough, which take no memory
                    values = np.stack([values.min(axis=0), values.max(axis=0)])
                arrays[key].append((name, values))
            contents[digest.hexdigest()].append(name)
        for same in contents.values():
            if len(same) > 1:
                found.warnings.append(f"{', '.join(same[:SHOWN])}: the same episode {len(same)} times, keep one")
        for key, parts in arrays.items():
            _column(key, parts, len(names), found)
    return found


def _datasets(episode: h5py.Group) -> list[tuple[str, h5py.Dataset]]:
    """Observations and actions of an episode by name."""
    obs = episode.get("obs")
    items = [("obs", obs)] if isinstance(obs, h5py.Dataset) else []
    if isinstance(obs, h5py.Group):
        items = [(f"obs/{key}", obs[key]) for key in obs if isinstance(obs[key], h5py.Dataset)]
    actions = episode.get("actions")
    return [*items, *([("actions", actions)] if isinstance(actions, h5py.Dataset) else [])]


def _length(episode: h5py.Group, found: Inspection) -> int:
    """Number of samples of an episode; notes it as a fault if there are none, or if its arrays disagree."""
    name = Path(episode.name).name
    lengths = {key: len(dataset) for key, dataset in _datasets(episode)}
    if "actions" not in lengths:
        found.faults.append(f"{name} has no actions: remove the episode, see flow-rl data filter")
        return max(lengths.values(), default=0)
    num = lengths["actions"]
    if num == 0:
        found.faults.append(f"{name} has no samples: remove the episode, see flow-rl data filter")
    others = [f"{key} {length}" for key, length in lengths.items() if length != num]
    if others:
        found.faults.append(f"{name} has {num} actions, but {', '.join(others)}: it is incomplete, remove it")
    return num


def _column(key: str, parts: list[tuple[str, np.ndarray]], num_episodes: int, found: Inspection) -> None:
    """Describe one array over all episodes, and note what is wrong with it."""
    if len(parts) < num_episodes:
        found.faults.append(f"{key} is in {len(parts)} of {num_episodes} episodes: choose others, or remove those")
    shapes = {values.shape[1:] for _, values in parts}
    if len(shapes) > 1:
        found.faults.append(f"{key} has samples of different shapes, {sorted(shapes)}: use files of one task")
        return
    shape = shapes.pop()
    rows = np.concatenate([values.reshape(len(values), int(np.prod(shape))) for _, values in parts])
    if len(rows) == 0 or rows.dtype.kind not in "fiub":
        return
    dtype = str(parts[0][1].dtype)
    if len(shape) == 3:
        found.columns.append(Column(key, shape, dtype, rows.min(), rows.max(), 0, rows.shape[1]))
        return
    names, lengths = [name for name, _ in parts], [len(values) for _, values in parts]
    numbers = rows.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        places = describe_places(~finite, numbers, names, lengths)
        count = int((~finite).sum())
        found.faults.append(f"{key} has {count} values that are no numbers, {places}: remove those episodes")
    if outliers := describe_outliers(key, numbers, names, lengths):
        found.warnings.append(outliers)
    known = np.where(finite, numbers, np.nan)
    with np.errstate(all="ignore"):
        low, high = np.nanmin(known, axis=0), np.nanmax(known, axis=0)
    constant = int((low == high).sum())
    found.columns.append(
        Column(key, shape, dtype, float(np.nanmin(low)), float(np.nanmax(high)), constant, rows.shape[1])
    )


def keep(
    path: str | Path,
    output: str | Path,
    *,
    successes: bool = False,
    best: int | None = None,
    first: int | None = None,
    filter_key: str | None = None,
) -> tuple[int, int]:
    """Write some episodes of a file, as they are, into a new one; returns how many were kept, and of how many.

    Episodes without samples never are. The new file comes into being as a whole.

    Args:
        path: File to read.
        output: File to write.
        successes: Whether episodes marked as failed are left out.
        best: How many of highest return to keep, in the order of the file; None for all.
        first: How many of those that remain to keep, from the first; None for all.
        filter_key: List of episodes to keep, see :func:`flow_rl.demos.reader.load_demos`.

    Raises:
        DemoError: If the file cannot be read, or nothing of it would be kept.
    """
    for name, value in (("--best", best), ("--first", first)):
        require(value is None or value >= 1, name, value, "an integer >= 1", "leave it out for all.")
    output = Path(output)
    with open_demos(path) as file:
        data = file["data"]
        total = len(demo_names(file, path))
        names = demo_names(file, path, only_successful=successes, filter_key=filter_key)
        names = [name for name in names if len(data[name].get("actions", ())) > 0]
        if best is not None:
            earned = {name: float(np.sum(data[name]["rewards"])) for name in names if "rewards" in data[name]}
            missing = [name for name in names if name not in earned]
            require(not missing, "--best", missing[:SHOWN], "a file whose episodes have rewards", "leave it out.")
            chosen = set(sorted(names, key=lambda name: -earned[name])[:best])
            names = [name for name in names if name in chosen]
        names = names[:first]
        require(bool(names), "output", str(output), "a file of at least one episode", "ask for less.")
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f"{output.name}.partial")
        try:
            with h5py.File(partial, "w") as new:
                group = new.create_group("data")
                for key, value in data.attrs.items():
                    group.attrs[key] = value
                group.attrs["total"] = sum(len(data[name]["actions"]) for name in names)
                for i, name in enumerate(names):
                    file.copy(data[name], group, name=f"demo_{i}")
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    return len(names), total
