# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The lowest and the newest versions that the package allows work, each in an environment of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = ROOT / ".tool" / "bin" / "uv"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sim,
    pytest.mark.skipif(not UV.is_file(), reason="flow_rl.sh has set up no uv here"),
]

PACKAGE = "tests/deploy/test_package.py::test_the_network_is_for_any_runtime"
SAMPLE = ("tests/algorithms/test_learners.py", "tests/storage", PACKAGE)
"""Tests that reach torch, tensordict, rsl_rl, Warp, h5py and onnxruntime, in about a minute."""


def run(*command, cwd):
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    env["OMP_NUM_THREADS"] = "1"
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_versions_at_the_borders(resolution, tmp_path):
    """Tests and a simulation pass beside what a resolver picks at the border of our ranges."""
    source = tmp_path / "source"
    for name in ("exts", "tasks", "assets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "venv", "-q", "--python", ROOT / ".venv" / "bin" / "python", python.parents[1], cwd=tmp_path)
    (tmp_path / "overrides.txt").write_text("open3d ; sys_platform == 'never'\n")  # as flow_rl.sh does
    install = (UV, "pip", "install", "-q", "--no-config", "--python", python)
    ours = f"{source}[viewers,export,serve,wandb]"
    run(*install, "--resolution", resolution, "--override", tmp_path / "overrides.txt", ours, cwd=tmp_path)
    run(*install, "pytest", cwd=tmp_path)
    test = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "-W", "ignore")
    out = run(*test, "-m", "not sim and not slow and not gpu", *SAMPLE, cwd=ROOT)
    assert int(re.search(r"(\d+) passed", out)[1]) > 40
    command = (python.with_name("flow-rl"), "collect", "--task", "FlowRL-Lift-Franka", "--num_demos", "2")
    run(*command, "--num_envs", "2", "--device", "cpu", "physics=ovphysx", "--output", "demos.hdf5", cwd=tmp_path)
    assert (tmp_path / "demos.hdf5").stat().st_size > 10_000
