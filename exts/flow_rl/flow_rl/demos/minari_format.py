# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Data sets of Minari, read and written by the package ``minari``, which comes with the extra ``data``.

A Box of observations is the key ``policy``; of a Dict each entry is a key, those of inner ones joined by dots. Images
are (H, W, C) there, and are written without loss.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require, require_package

from .episodes import Episode, Recording, first_of, new_folder
from .reader import channels_first, flat_rows

PACKAGE = ("'minari[hdf5]==0.5.4'", "data")
"""What to install, and the extra to which it belongs."""
ENV_ARGS = "flow_rl_env_args"
"""Place of what our files say about their origin among Minari's metadata."""
SUCCESS = ("success", "is_success")
"""Entries of ``infos`` that say whether a step solved the task."""


def is_minari(source: str | Path) -> bool:
    """Whether this is the folder of a data set, or looks like the name of one, such as ``D4RL/door/human-v2``."""
    path = Path(source)
    return _data_folder(path) is not None or (not path.exists() and bool(re.fullmatch(r"[-\w./]*-v\d+", str(source))))


def read_minari(source: str | Path) -> Recording:
    """Return the episodes of a data set, named by its folder or, if it is among Minari's own, by its name."""
    minari = require_package("minari", *PACKAGE)
    folder = _data_folder(Path(source))
    try:
        dataset = minari.MinariDataset(folder) if folder else minari.load_dataset(str(source))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(
            f"{str(source)!r} is no data set that Minari can open: {error} Valid: its folder, or a name that "
            f"'minari list local' shows; 'minari download {source}' fetches one."
        ) from error
    metadata = dataset.storage.metadata
    return Recording(_episodes(dataset, str(source)), json.loads(metadata.get(ENV_ARGS, "{}")))


def write_minari(recording: Recording, folder: str | Path) -> int:
    """Write episodes as a data set into a folder, and return their number; it appears when complete.

    Minari wants what was observed after the last action, too. Where this is unknown, the last observation is repeated.

    Raises:
        InputError: If the folder's name is none for a data set, or nothing would be written.
    """
    minari = require_package("minari", *PACKAGE)
    storages, folder = importlib.import_module("minari.dataset.minari_storage"), Path(folder)
    valid = "a folder whose name ends with a version, as Minari asks for"
    require(bool(re.fullmatch(r"[-\w]+-v\d+", folder.name)), "OUT", folder.name, valid, f"call it {folder.name}-v0.")
    first, episodes = first_of(recording)
    facts = {"dataset_id": _name(folder), "minari_version": minari.__version__}
    with new_folder(folder) as partial:
        partial.mkdir()
        storage = storages.MinariStorage.new(
            partial / "data",
            observation_space=_space({key: _to_minari(values)[0] for key, values in first.obs.items()}),
            action_space=_space({"policy": first.actions[0]}),
            jpeg_encoding=False,
        )
        storage.update_metadata(facts | {ENV_ARGS: json.dumps(recording.env_args)})
        storage.update_episodes(map(_buffer, episodes))
        return storage.total_episodes


def _name(folder: Path) -> str:
    """Return the name by which Minari finds a data set: below its own folder the path there, else the folder's name."""
    root = Path(os.environ.get("MINARI_DATASETS_PATH", "~/.minari/datasets")).expanduser().resolve()
    path = folder.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else folder.name


def _data_folder(path: Path) -> Path | None:
    """Return the folder within a data set's folder, or this itself, that holds the metadata."""
    return next((each for each in (path / "data", path) if (each / "metadata.json").is_file()), None)


def _episodes(dataset: Any, source: str) -> Iterator[Episode]:
    """Yield the episodes of a data set."""
    for number, data in enumerate(dataset.iterate_episodes()):
        where = f"{source}: episode {number}"
        if not isinstance(data.actions, np.ndarray) or data.actions.dtype.kind != "f":
            raise InputError(
                f"{where} has actions of {dataset.action_space}. Valid: a Box of real numbers; flow policies know no "
                "others."
            )
        actions = flat_rows(data.actions)
        steps = len(actions)
        obs = {key: _from_minari(values) for key, values in _flat(data.observations).items()}
        for key, values in obs.items():
            if values.dtype.kind not in "fiub" or len(values) not in (steps, steps + 1):
                raise InputError(
                    f"{where} has {len(values)} observations {key!r} of type {values.dtype} for {steps} actions. "
                    "Valid: numbers, one more than actions. Choose others with --keys."
                )
        infos = [data.infos[key] for key in SUCCESS if key in (data.infos or {})]
        facts = {"success": bool(any(np.any(info) for info in infos))} if infos else {}
        yield Episode(
            {key: values[:steps] for key, values in obs.items()},
            actions,
            data.rewards,
            truncated=bool(np.any(data.truncations)) and not bool(np.any(data.terminations)),
            last_obs={key: values[-1] for key, values in obs.items()}
            if len(next(iter(obs.values()))) > steps
            else None,
            facts=facts,
        )


def _flat(observations: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the leaves of nested observations by their names joined with dots."""
    if isinstance(observations, Mapping):
        parts = (_flat(value, f"{prefix}{key}.") for key, value in observations.items())
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(observations, tuple):
        return _flat(dict(enumerate(observations)), prefix)
    return {prefix[:-1] or "policy": np.asarray(observations)}


def _from_minari(values: np.ndarray) -> np.ndarray:
    """Return observations (T, ...) as vectors (T, O), or as images (T, C, H, W)."""
    if values.ndim == 4 and values.dtype == np.uint8:
        return channels_first(values)
    return flat_rows(values)


def _to_minari(values: np.ndarray) -> np.ndarray:
    """Return vectors (..., O) as they are, images (..., C, H, W) with their channels last."""
    return np.moveaxis(values, -3, -1) if values.dtype == np.uint8 and values.ndim >= 3 else values


def _space(samples: dict[str, np.ndarray]) -> Any:
    """Return a space of such values; that of ``policy`` alone is a Box."""
    import gymnasium as gym

    def box(value: np.ndarray) -> gym.spaces.Box:
        whole = value.dtype.kind in "iub"
        info = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
        low, high = (info.min, info.max) if info else (0, 1) if whole else (-np.inf, np.inf)
        return gym.spaces.Box(low, high, value.shape, value.dtype)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about bounds that nobody knows
        spaces = {key: box(value) for key, value in samples.items()}
    return spaces["policy"] if list(spaces) == ["policy"] else gym.spaces.Dict(spaces)


def _buffer(episode: Episode) -> Any:
    """Return an episode as Minari takes it."""
    from minari.data_collector import EpisodeBuffer

    last = episode.last_obs or {key: values[-1] for key, values in episode.obs.items()}
    obs = {key: _to_minari(np.concatenate([values, last[key][None]])) for key, values in episode.obs.items()}
    steps = len(episode)
    ends = np.arange(steps) == steps - 1
    success = episode.facts.get("success")
    seed = episode.facts.get("seed")
    return EpisodeBuffer(
        seed=None if seed is None else int(seed),
        observations=obs["policy"] if list(obs) == ["policy"] else obs,
        actions=episode.actions,
        rewards=np.zeros(steps) if episode.rewards is None else episode.rewards,
        terminations=ends & (not episode.truncated),
        truncations=ends & episode.truncated,
        infos=None if success is None else {"success": np.arange(steps + 1) == (steps if success else -1)},
    )
