# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Conversion between files of demonstrations in HDF5, data sets of Minari and data sets of LeRobot."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import flow_rl
from flow_rl.utils.check import InputError, require, require_choice

from .episodes import read_hdf5, select, with_samples, write_hdf5
from .lerobot_format import is_lerobot
from .minari_format import is_minari, read_minari, write_minari

FORMATS = ("robomimic", "minari", "lerobot")
"""Formats that are known; the first is the HDF5 layout of robomimic and Isaac Lab Mimic."""

LEROBOT = "FLOW_RL_LEROBOT"
"""Environment variable that names the Python of an environment with LeRobot."""

INSTALL = (
    "lerobot is not installed beside flow_rl, and cannot be: it asks for an older numpy than Isaac Lab. Give it an "
    "environment of its own: python3.12 -m venv lerobot && lerobot/bin/pip install 'lerobot[dataset]==0.6.1' h5py, and "
    f"repeat with {LEROBOT}=$PWD/lerobot/bin/python"
)


def format_of(source: str | Path) -> str:
    """Return the format of a file, folder or name of a data set; what is none of the others counts as HDF5."""
    if is_lerobot(source):
        return "lerobot"
    if is_minari(source):
        return "minari"
    if Path(source).is_dir():
        raise InputError(
            f"{str(source)!r} is a folder, but no data set: it has neither meta/info.json, as those of LeRobot, nor "
            "data/metadata.json, as those of Minari. Valid: such a folder, or an HDF5 file."
        )
    return "robomimic"


def convert(
    source: str | Path,
    output: str | Path,
    to: str,
    *,
    fps: float | None = None,
    keys: Sequence[str] | None = None,
    lossless: bool = False,
) -> tuple[int, list[int]]:
    """Write demonstrations in another format; returns how many episodes, and the places of those without samples.

    The output appears, or takes the place of an older one, when it is complete. LeRobot runs in a process of its own,
    and HDF5 stands between it and the others.

    Args:
        source: File, folder, or name of one of Minari's data sets.
        output: File or folder to write.
        to: One of :data:`FORMATS`.
        fps: Samples per second; what the source says when None. LeRobot needs them.
        keys: Observations to keep, see :func:`flow_rl.demos.episodes.select`.
        lossless: Whether LeRobot keeps pictures as they are, rather than as films.

    Raises:
        InputError: If the source cannot be read, or not be written in this way.
    """
    require_choice("--to", to, FORMATS)
    origin = format_of(source)
    require(origin != to, "--to", to, f"another format than that of {source}", "see flow-rl data filter.")
    lossy = "--to lerobot alone; other formats keep pictures as they are anyway"
    require(not lossless or to == "lerobot", "--lossless", lossless, lossy, "leave it out.")
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if {origin, to} == {"minari", "lerobot"}:
        with tempfile.TemporaryDirectory() as folder:
            between = Path(folder, "demos.hdf5")
            _, dropped = convert(source, between, FORMATS[0], keys=keys)
            return convert(between, output, to, fps=fps, lossless=lossless)[0], dropped
    if "lerobot" in (origin, to):
        direction = "read" if origin == "lerobot" else "write"
        return _in_lerobot(direction, source, output, fps, keys, lossless)
    dropped = []
    recording = read_minari(source) if origin == "minari" else read_hdf5(source)
    chosen = with_samples(select(recording, keys), dropped)
    if fps is not None:
        chosen.env_args["fps"] = recording.fps(fps)
    return (write_hdf5 if origin == "minari" else write_minari)(chosen, output), dropped


@contextlib.contextmanager
def as_hdf5(source: str | Path) -> Iterator[Path]:
    """Give an HDF5 file of demonstrations of any format: itself, or a copy that goes at the end."""
    if format_of(source) == FORMATS[0]:
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "demos.hdf5")
        print("[flow_rl] " + report(source, *convert(source, path, FORMATS[0])))
        yield path


def report(name: str | Path, count: int, dropped: Sequence[int]) -> str:
    """Return a line about what :func:`convert` has done."""
    left_out = f", without {', '.join(map(str, dropped))}, which had no samples" if dropped else ""
    return f"{name}: {count} episodes{left_out}"


def _in_lerobot(
    direction: str, source: str | Path, output: Path, fps: float | None, keys: Sequence[str] | None, lossless: bool
) -> tuple[int, list[int]]:
    """Run :mod:`.lerobot_format` where LeRobot is installed."""
    python = os.environ.get(LEROBOT)
    if python is None:
        if importlib.util.find_spec("lerobot") is None:
            raise InputError(f"{INSTALL}.")
        python = sys.executable
    require(Path(python).is_file(), LEROBOT, python, "the path of a Python", f"{INSTALL}.")
    words = [direction, str(source), str(output), *(["--lossless"] if lossless else [])]
    words += [*(["--fps", str(fps)] if fps else []), *(["--keys", *keys] if keys else [])]
    with tempfile.TemporaryDirectory() as folder:
        # this package alone, not what is installed beside it
        Path(folder, "flow_rl").symlink_to(Path(flow_rl.__file__).parent)
        env = os.environ | {"PYTHONPATH": folder, "HF_HUB_OFFLINE": "1"}
        command = [python, "-m", "flow_rl.demos.lerobot_format", *words]
        run = subprocess.run(command, env=env, capture_output=True, text=True)
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or ["no message"]
        if run.returncode == 2 and lines[-1].startswith("error: "):
            raise InputError(lines[-1].removeprefix("error: "))
        if "No module named" in lines[-1]:
            raise InputError(f"{LEROBOT}={python} lacks what is needed ({lines[-1]}). Remedy: {INSTALL}.")
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stderr}")
    count, *dropped = map(int, run.stdout.split("\n")[-2].split())
    return count, dropped
