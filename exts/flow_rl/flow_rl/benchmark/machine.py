# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What computes: the machine, the GPUs that a command sees, and how much of their memory is in use."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def host() -> dict[str, Any]:
    """What the machine is, and how busy it is."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    return {
        "name": platform.node(),
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> float:
    """Memory of the machine [GiB]."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def gpu_names(environment: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that a command with these variables sees."""
    return [name for name, _ in _gpus(environment)]


def gpu_memory(environment: Mapping[str, str]) -> float:
    """Memory in use on these GPUs, by whomever [GiB]; the largest of several."""
    return max((float(used) / 1024 for _, used in _gpus(environment) if used.isdigit()), default=0.0)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Indices, or unique names, of the GPUs that a command with these variables may use."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [word.strip() for word in named.split(",") if word.strip()]
    return [str(index) for index in range(len(_gpus({})))]


def _gpus(environment: Mapping[str, str]) -> list[list[str]]:
    """Name and used memory [MiB] of each GPU, as the driver's own tool says; torch would take memory to say it."""
    command = ["nvidia-smi", "--query-gpu=name,memory.used", "--format=csv,noheader,nounits"]
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        if not named.strip():
            return []
        command.append(f"--id={named.replace(' ', '')}")
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    return [[cell.strip() for cell in line.rsplit(",", 1)] for line in lines if "," in line]
