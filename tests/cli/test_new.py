# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""``flow-rl new`` writes packages that install, pass their tests, and train on our tasks as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flow_rl.cli import new
from flow_rl.utils.check import InputError

VISION = "FlowRL-OneLeg-Low-Franka-Vision"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The folder of a new learner, whose wheel is installed in the folder ``site`` beside it."""
    folder = new.write("learner", "my_learner", tmp_path_factory.mktemp("new") / "my_learner")
    code = "from setuptools import build_meta; print(build_meta.build_wheel('../dist'))"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (wheel,) = (folder.parent / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder.parent / "site")
    return folder


def run(package: Path, *words: str) -> str:
    """Run Python where the package is installed, away from its sources; returns what it printed."""
    site = str(package.parent / "site")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run([sys.executable, *words], cwd=package.parent, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_new_learner_passes_its_own_test(package):
    """From state and from pixels; commands know it."""
    printed = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests"))
    assert "2 passed" in printed
    assert "my_learner" in run(package, "-m", "flow_rl.cli.main", "learners")


def test_a_new_learner_is_clean(package):
    """Who lints as we do begins without complaints."""
    ruff = [Path(sys.executable).parent / "ruff", "--config", Path(__file__).parents[2] / "pyproject.toml"]
    for command in (["check", "--ignore", "I,D"], ["format", "--check"]):
        done = subprocess.run([*ruff[:1], command[0], *ruff[1:], *command[1:], package], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.sim
@pytest.mark.slow
def test_a_new_learner_trains_with_a_tasks_settings(package):
    """One iteration of OneLeg from cameras: chunk length, networks, observations and cameras are the task's."""
    few = ["env.image_size=32", "agent.num_steps_per_env=4", "agent.algorithm.num_mini_batches=2"]
    words = ["--rl_library", "rsl_rl", "--task", VISION, "--agent", "my_learner_cfg_entry_point", "--num_envs", "2"]
    words += ["--max_iterations", "1", "agent.algorithm.from_scratch=true", *few]
    run(package, "-m", "flow_rl.cli.main", "train", *words)
    (checkpoint,) = (package.parent / "logs").rglob("model_*.pt")
    code = f"import torch; print(torch.load({str(checkpoint)!r}, weights_only=True)['flow_rl'])"
    description = run(package, "-c", code)
    for part in ("'learner': 'my_learner'", "'horizon': 8", "'obs_scaling': 'whitening'", "'front': [3, 32, 32]"):
        assert part in description


@pytest.mark.parametrize("name", ["My", "no-dash", "1st", "class", "score_flow"])
def test_names_that_are_none(name, tmp_path):
    with pytest.raises(InputError, match=f"NAME = {name!r}"):
        new.write("learner", name, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(InputError, match="a folder that does not exist"):
        new.write("learner", "mine", tmp_path)
