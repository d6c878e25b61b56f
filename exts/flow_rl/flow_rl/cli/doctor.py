# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Check this machine: packages, GPU, folder of compiled kernels, the robot's file.

The exit code is 1 if something is missing without which nothing runs; how to mend it is said beside it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import NamedTuple

from flow_rl.cli.options import HelpFormatter, has_gpu

PACKAGES = ("flow-rl", "isaaclab", "torch", "warp-lang", "rsl-rl-lib", "newton", "ovphysx")
"""Without one of these nothing runs."""

REINSTALL = "install flow-rl again, with its dependencies: pip install flow-rl."


class Finding(NamedTuple):
    """What one check found."""

    name: str
    """What was looked at."""

    value: str
    """What is there."""

    remedy: str = ""
    """What to do about it; nothing where all is well."""

    essential: bool = True
    """Whether nothing runs without the remedy."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the findings; exit with 1 if an essential one asks for a remedy."""
    argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter).parse_args(argv)
    broken = False
    for finding in check():
        sign = "ok" if not finding.remedy else "MISSING" if finding.essential else "note"
        print(f"{sign:7}  {finding.name:12} {finding.value}{finding.remedy and f'. Remedy: {finding.remedy}'}")
        broken |= sign == "MISSING"
    if broken:
        raise SystemExit(1)


def check() -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield from (check_package(name) for name in PACKAGES)
    yield check_gpu()
    yield check_kernels()
    yield check_robot()
    yield check_films()


def check_package(name: str) -> Finding:
    """Whether a package is installed, and in which version."""
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "is not installed", REINSTALL)


def check_gpu() -> Finding:
    """Whether torch can compute on a GPU."""
    try:
        import torch
    except ImportError as error:
        return Finding("GPU", f"unknown, torch cannot be imported ({error})", REINSTALL)
    if torch.cuda.is_available():
        return Finding("GPU", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    if has_gpu():
        return Finding("GPU", "there, but torch cannot use it", "install a driver for its CUDA.", essential=False)
    return Finding("GPU", "none: the CPU does all the work")


def check_kernels() -> Finding:
    """Whether Warp can keep the kernels that it compiles."""
    try:
        import warp as wp

        wp.config.log_level = wp.LOG_ERROR
        wp.init()
        folder = Path(wp.config.kernel_cache_dir)
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("kernels", f"Warp does not start ({error})", "set WARP_CACHE_PATH to a folder you can write to.")
    return check_folder("kernels", folder, "WARP_CACHE_PATH")


def check_robot() -> Finding:
    """Whether the robot's file has been built, or can be."""
    from flow_rl_assets.build import cache_dir, panda_usd_path

    try:
        path = panda_usd_path()
    except importlib.metadata.PackageNotFoundError as error:
        return Finding("robot", f"cannot be built without {error.name}", REINSTALL)
    if path.exists():
        return Finding("robot", str(path))
    finding = check_folder("robot", cache_dir(), "FLOW_RL_CACHE")
    return finding if finding.remedy else Finding("robot", f"will be built on first use, in {cache_dir()}")


def check_films() -> Finding:
    """Whether viewers can draw without a screen."""
    if find_library("EGL"):
        return Finding("libEGL", "found")
    return Finding("libEGL", "is not installed", "install package libegl1 for films of record and play.", False)


def check_folder(name: str, folder: Path, variable: str) -> Finding:
    """Whether files can be made in a folder, which an environment variable can move."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding(name, str(folder))
    except OSError as error:
        remedy = f"set {variable} to a folder you can write to."
        return Finding(name, f"{folder} cannot be written to ({os.strerror(error.errno or 0)})", remedy)
