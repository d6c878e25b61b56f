# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Check this machine: packages and optional parts, GPU, disk, folder of compiled kernels, the robot's file.

The exit code is 1 if something is missing without which nothing runs; how to mend it is said beside it.
"""

from __future__ import annotations

import getpass
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import NamedTuple

from flow_rl.cli.options import ArgumentParser, has_gpu

PACKAGES = ("flow-rl", "isaaclab", "torch", "warp-lang", "rsl-rl-lib", "newton", "ovphysx")
"""Without one of these nothing runs."""

REINSTALL = "install flow-rl again, with its dependencies: pip install flow-rl."


EXTRAS = {
    "viewers": ("rerun", "viser", "imageio_ffmpeg"),
    "export": ("onnxruntime", "leapp"),
    "data": ("minari",),
    "serve": ("msgspec", "websockets"),
    "wandb": ("wandb",),
}
"""Optional parts by the name of their extra, and the modules that they need."""

SMALLEST_DISK = 5.0
"""Free space below which checkpoints, films and kernels may not fit [GB]."""


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
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="write a text for an issue, without paths of the user")
    args = parser.parse_args(argv)
    findings = list(check())
    lines = [shown(finding) for finding in findings]
    if args.report:
        system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} cores"
        lines = ["```text", system, *map(anonymous, lines), "```"]
    print("\n".join(lines))
    if any(finding.remedy and finding.essential for finding in findings):
        raise SystemExit(1)


def shown(finding: Finding) -> str:
    """A finding in one line."""
    sign = "ok" if not finding.remedy else "MISSING" if finding.essential else "note"
    return f"{sign:7}  {finding.name:12} {finding.value}{finding.remedy and f'. Remedy: {finding.remedy}'}"


def anonymous(line: str) -> str:
    """A line without the folder and the name of the user."""
    line = line.replace(str(Path.home()), "~")
    return re.sub(rf"\b{re.escape(getpass.getuser())}\b", "USER", line)


def check() -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield from (check_package(name) for name in PACKAGES)
    yield from check_extras()
    yield check_gpu()
    yield check_disk()
    yield check_kernels()
    yield check_robot()
    yield check_films()


def check_extras() -> Iterator[Finding]:
    """Whether the modules of optional parts are installed."""
    for extra, modules in EXTRAS.items():
        if missing := [name for name in modules if not has_package(name)]:
            yield Finding(extra, f"lacks {', '.join(missing)}", f"pip install 'flow-rl[{extra}]' for it.", False)
        else:
            yield Finding(extra, "installed")


def has_package(name: str) -> bool:
    """Whether a module can be imported; it is not."""
    return importlib.util.find_spec(name) is not None


def check_disk() -> Finding:
    """Whether there is room in the present folder, where logs and outputs go."""
    free = shutil.disk_usage(".").free / 1e9
    remedy = "" if free >= SMALLEST_DISK else "make room, or start in a folder of another disk."
    return Finding("disk", f"{free:.0f} GB free here", remedy, essential=False)


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
