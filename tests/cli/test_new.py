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
import torch

from flow_rl.cli import new
from flow_rl.utils.check import InputError

VISION = "FlowRL-OneLeg-Low-Franka-Vision"


TASKS = {"task": ("my_task", "FlowRL-MyTask-Franka"), "furniture": ("my_stand", "FlowRL-MyStand-Low-Franka")}
"""Name of a package of each kind, and of the task that it registers."""

NAMES = {"learner": "my_learner"} | {kind: name for kind, (name, _) in TASKS.items()}


def install(kind: str, tmp: Path) -> Path:
    """Write a new package and return its folder; its wheel is installed in the folder ``site`` beside it."""
    folder = new.write(kind, NAMES[kind], tmp / NAMES[kind])
    code = "from setuptools import build_meta; print(build_meta.build_wheel('../dist'))"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (wheel,) = (folder.parent / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder.parent / "site")
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The folder of a new learner that is installed."""
    return install("learner", tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module", params=TASKS)
def task(request, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a new package with a task that is installed, and the task's name."""
    return install(request.param, tmp_path_factory.mktemp("new")), TASKS[request.param][1]


def run(package: Path, *words: str) -> str:
    """Run Python where the package is installed, away from its sources; returns what it printed."""
    site = str(package.parent / "site")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run([sys.executable, *words], cwd=package.parent, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def description(package: Path) -> dict:
    """What the only checkpoint of a training run says of itself."""
    (checkpoint,) = (package.parent / "logs").rglob("model_*.pt")
    return torch.load(checkpoint, weights_only=True)["flow_rl"]


@pytest.mark.slow
def test_a_new_learner_passes_its_own_test(package):
    """From state and from pixels; commands know it."""
    printed = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests"))
    assert "2 passed" in printed
    assert "my_learner" in run(package, "-m", "flow_rl.cli.main", "learners")


@pytest.mark.parametrize("kind", NAMES)
def test_a_new_package_is_clean(kind, tmp_path):
    """Who lints as we do begins without complaints."""
    package = new.write(kind, NAMES[kind], tmp_path / NAMES[kind])
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
    facts = description(package)
    assert facts["learner"] == "my_learner"
    for part in ("'horizon': 8", "'obs_scaling': 'whitening'", "'front': [3, 32, 32]"):
        assert part in str(facts)


@pytest.mark.sim
@pytest.mark.slow
def test_a_new_task_is_tested_demonstrated_pretrained_and_fine_tuned(task):
    """As its README.md says; the commands of its first half share a process, because each would start for seconds."""
    package, name = task
    words = ["--task", name, "--device", "cpu"]
    chain = f"""
import pytest
from flow_rl.cli import collect, pretrain, tasks
assert pytest.main(["-q", "-p", "no:cacheprovider", {str(package / "tests")!r}]) == 0
collect.main([*{words}, "--num_demos", "2", "--num_envs", "2", "--output", "demos.hdf5", "physics=ovphysx"])
pretrain.main([*{words}, "--demos", "demos.hdf5", "--output", "pretrained.pt", "agent.num_steps=2"])
tasks.main([])
"""
    printed = run(package, "-c", chain)
    for part in ("2 passed", "2 episodes", f"\n{name} "):
        assert part in printed
    words = ["--rl_library", "rsl_rl", "--task", name, "--num_envs", "2", "--max_iterations", "1", "physics=ovphysx"]
    words += ["agent.num_steps_per_env=4", "agent.algorithm.num_mini_batches=2", "agent.algorithm.critic_warmup=0"]
    run(package, "-m", "flow_rl.cli.main", "train", *words, "--checkpoint", "pretrained.pt")
    facts = description(package)
    assert (facts["task"], facts["learner"], facts["stage"]) == (name, "score_flow", "finetune")


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", ["My", "no-dash", "1st", "_", "class", "m\u00fcll", "torch"])
def test_names_that_are_none(kind, name, tmp_path):
    with pytest.raises(InputError, match=f"NAME = {name!r}.* Remedy: choose"):
        new.write(kind, name, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(("kind", "name"), [("learner", "score_flow"), ("task", "lift"), ("furniture", "one_leg")])
def test_names_that_are_taken(kind, name, tmp_path):
    """Two tasks of one name would replace each other in silence."""
    with pytest.raises(InputError, match=f"NAME = {name!r} is not valid. Valid: none of .*Remedy: choose another"):
        new.write(kind, name, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_is_overwritten(kind, tmp_path):
    with pytest.raises(InputError, match="a folder that does not exist"):
        new.write(kind, "mine", tmp_path)
    assert not list(tmp_path.iterdir())


def test_refusals_are_one_line(capsys):
    with pytest.raises(SystemExit) as exit_:
        new.main(["task", "lift"])
    out, err = capsys.readouterr()
    assert exit_.value.code == 2 and not out
    assert err.startswith("[flow_rl] error: NAME = 'lift'") and err.count("\n") == 1
