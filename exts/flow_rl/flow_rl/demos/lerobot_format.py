# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Data sets of LeRobot (version 3: parquet and mp4), read and written by the package ``lerobot``.

It asks for an older numpy than Isaac Lab does, and therefore lives in an environment of its own, where this module runs
as a program: ``python -m flow_rl.demos.lerobot_format {read,write} IN OUT`` turns a data set into HDF5 and back.

``observation.state`` is the key ``policy``, a camera ``observation.images.<key>`` is ``<key>``, other observations lose
their first word. There is no room for what was observed after the last action.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require

from .episodes import Episode, Recording, first_of, new_folder, read_hdf5, select, with_samples, write_hdf5

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
"""Names of LeRobot's."""


def is_lerobot(source: str | Path) -> bool:
    """Whether this is the folder of a data set."""
    return (Path(source) / "meta" / "info.json").is_file()


def our_name(feature: str) -> str:
    """Return the key of one of LeRobot's observations."""
    return "policy" if feature == STATE else feature.removeprefix(IMAGES).removeprefix("observation.")


def their_name(key: str, is_image: bool) -> str:
    """Return LeRobot's name of one of our observations."""
    return STATE if key == "policy" else f"{IMAGES if is_image else 'observation.'}{key}"


def read_lerobot(folder: str | Path) -> Recording:
    """Return the episodes of a data set; its frames per second and robot stand in ``env_args``."""
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    path = Path(folder).resolve()
    try:
        meta = LeRobotDatasetMetadata(path.name, root=path)
        lengths = [meta.episodes[index]["length"] for index in range(meta.total_episodes)]
        filled = [index for index, length in enumerate(lengths) if length > 0]
        # with an empty episode it takes the set for incomplete, unless it is told which others are wanted
        wanted = None if len(filled) == len(lengths) else filled
        dataset = LeRobotDataset(path.name, root=path, episodes=wanted, return_uint8=True)
    except Exception as error:  # lerobot has no class for what it refuses
        raise InputError(
            f"{str(folder)!r} is no data set that LeRobot can open ({type(error).__name__}: {error}). Valid: version "
            "3; 'python -m lerobot.scripts.convert_dataset_v21_to_v30' brings older ones there."
        ) from error
    require(ACTION in meta.features, "features", sorted(meta.features), f"some with {ACTION!r}", "use another set.")
    env_args = {"fps": meta.fps, "robot": meta.robot_type or "", "lerobot": path.name}
    return Recording(_episodes(dataset, lengths), env_args)


def write_lerobot(recording: Recording, folder: str | Path, fps: int, lossless: bool = False) -> int:
    """Write episodes as a data set into a new folder, and return their number; it appears when complete.

    Args:
        recording: Episodes.
        folder: Folder to write.
        fps: Frames per second.
        lossless: Whether pictures are kept as they are, rather than as films.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    folder = Path(folder)
    first, episodes = first_of(recording)
    names = sorted(_columns(first))
    origin = recording.env_args.get("task") or recording.env_args.get("env_name") or folder.name
    with new_folder(folder) as partial:
        dataset = LeRobotDataset.create(
            folder.name, fps, _features(first, lossless), root=partial, use_videos=not lossless
        )
        for episode in episodes:
            columns, number = _columns(episode), dataset.num_episodes
            remedy = "remove the episode, or choose observations with --keys."
            require(sorted(columns) == names, f"episode {number}", sorted(columns), f"as the first, {names}", remedy)
            for step in range(len(episode)):
                frame = {name: values[step] for name, values in columns.items()}
                dataset.add_frame(frame | {"task": str(episode.facts.get("task", origin))})
            dataset.save_episode(parallel_encoding=False)
        dataset.finalize()
        return dataset.num_episodes


def _episodes(dataset: Any, lengths: list[int]) -> Iterator[Episode]:
    """Yield the episodes of a data set, which have these lengths."""
    features = {name for name in dataset.meta.features if name.startswith("observation.")}
    end = 0
    for length in lengths:
        first, end = end, end + length
        rows = [dataset[row] for row in range(first, end)]

        def column(name: str, rows: list[dict] = rows) -> np.ndarray:
            shape = tuple(dataset.meta.features[name]["shape"])
            if not rows:
                return np.zeros((0, *shape), np.float32)
            values = np.stack([row[name].numpy() for row in rows])
            if dataset.meta.features[name]["dtype"] == "image":  # those of films come as bytes
                values = np.rint(255.0 * values).astype(np.uint8)
            return values[:, None] if values.ndim == 1 else values

        facts: dict[str, Any] = {}
        if rows:
            facts["task"] = rows[0]["task"]
        if "next.success" in dataset.meta.features:
            facts["success"] = bool(column("next.success").any())
        rewards = column("next.reward").ravel() if "next.reward" in dataset.meta.features else None
        obs = {our_name(name): column(name) for name in sorted(features)}
        yield Episode(obs, column(ACTION), rewards, facts=facts)


def _columns(episode: Episode) -> dict[str, np.ndarray]:
    """Return the arrays of an episode, each of T samples, by LeRobot's names; images have their channels last."""
    columns = {ACTION: np.asarray(episode.actions, np.float32)}
    for key, values in episode.obs.items():
        is_image = values.ndim == 4
        name = their_name(key, is_image)
        columns[name] = np.moveaxis(values, 1, 3) if is_image else np.asarray(values, np.float32)
    steps = len(episode)
    if episode.rewards is not None:
        columns["next.reward"] = np.asarray(episode.rewards, np.float32)[:, None]
    columns["next.done"] = (np.arange(steps) == steps - 1)[:, None]
    if "success" in episode.facts:
        columns["next.success"] = columns["next.done"] & bool(episode.facts["success"])
    return columns


def _features(episode: Episode, lossless: bool) -> dict[str, dict[str, Any]]:
    """Return LeRobot's description of the arrays of an episode."""
    features = {}
    for name, values in _columns(episode).items():
        shape = values.shape[1:]
        if values.ndim == 4:
            kind, names = "image" if lossless else "video", ["height", "width", "channels"]
        else:
            kind, names = str(values.dtype), [f"{name.rpartition('.')[2]}_{i}" for i in range(shape[0])]
        features[name] = {"dtype": kind, "shape": shape, "names": names}
    return features


def main() -> None:
    """Convert as the command line says; what is refused is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direction", choices=("read", "write"))
    parser.add_argument("source", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--fps", type=float, help="samples per second, where the file does not tell")
    parser.add_argument("--keys", nargs="+", help="observations to keep, see flow-rl data convert")
    parser.add_argument("--lossless", action="store_true", help="keep pictures as they are, not as films")
    args = parser.parse_args()
    dropped: list[int] = []
    try:
        recording = read_lerobot(args.source) if args.direction == "read" else read_hdf5(args.source)
        chosen = with_samples(select(recording, args.keys), dropped)
        fps = recording.fps(args.fps)
        if args.direction == "read":
            count = write_hdf5(Recording(chosen.episodes, chosen.env_args | {"fps": fps}), args.output)
        else:
            count = write_lerobot(chosen, args.output, fps, args.lossless)
    except (InputError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
    print(count, *dropped)


if __name__ == "__main__":
    main()
