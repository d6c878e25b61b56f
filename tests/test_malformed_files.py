# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whatever is wrong with a file, commands say so in one line, and leave all files as they are."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from flow_rl.benchmark import resume
from flow_rl.benchmark.status import PLAN
from flow_rl.cli import benchmark, data, demo, report
from flow_rl.demos.reader import load_demos
from flow_rl.demos.writer import DemoWriter
from flow_rl.deploy import package as packages
from flow_rl.deploy.objects import open_objects
from flow_rl.evaluation.training import Training
from flow_rl.policies import BaseSettings, Interface, open_policy
from flow_rl.policies.sources import open_own
from tests.malformed import Judge, damaged, no_files, odd_values
from tests.policies.conftest import PLAIN, A, H, make_checkpoint, sources  # noqa: F401 - a fixture

INTERFACE = Interface({"policy": [2]}, H, A)


@pytest.fixture
def judge(capsys, tmp_path) -> Judge:
    return Judge(capsys, tmp_path)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(26)


def try_bytes(judge: Judge, path: Path, call, rng: random.Random, flips: int = 3) -> None:
    """Call with each kind of damage in the place of a good file, and with what is no file; puts it back."""
    good = path.read_bytes()
    for what, content in damaged(good, rng, flips):
        path.write_bytes(content)
        judge(f"{path.name} {what}", call, must_fail=not what.startswith("changed"))
    path.unlink()
    for what in no_files(path):
        judge(f"{path.name} is {what}", call)
    path.write_bytes(good)
    judge("the good file", call, must_fail=False)


def test_checkpoints(judge, tmp_path, rng):
    path = tmp_path / "policy.pt"
    make_checkpoint(path)

    def call():
        open_own(path)

    try_bytes(judge, path, call, rng)
    checkpoint = torch.load(path, weights_only=True)
    for what, description in odd_values(checkpoint["flow_rl"], rng, 60):
        torch.save(checkpoint | {"flow_rl": description}, path)
        judge(f"flow_rl: {what}", call, must_fail=False)
    for what, states in odd_values(checkpoint["actor_state_dict"], rng, 10):
        torch.save(checkpoint | {"actor_state_dict": states}, path)
        judge(f"actor_state_dict: {what}", call, must_fail=False)
    wide = (
        {"hidden_dims": [10**5, 10**6]},
        {"horizon": 10**12},
        {"obs_groups": {"policy": 10**12}},
        {"action_dim": 10**9},
    )
    for change in (*wide, {"image_shapes": {"front": [3, 10**5, 10**5]}}):
        changed = copy.deepcopy(checkpoint)
        changed["flow_rl"]["policy"] |= change
        torch.save(changed, path)
        judge(f"{change} of the policy", call)
    for name, value in {
        "format": {"flow_rl": checkpoint["flow_rl"] | {"format": 99}},
        "facts": {"flow_rl": 3},
        "states": {"actor_state_dict": [1]},
        "tensor": {"actor_state_dict": {k: v.to(torch.int8) for k, v in checkpoint["actor_state_dict"].items()}},
        "sparse": {"actor_state_dict": {k: v.flatten() for k, v in checkpoint["actor_state_dict"].items()}},
        "huge": {
            "actor_state_dict": {k: torch.zeros(1).expand(10**12) for k in checkpoint["actor_state_dict"]},
        },
        "nan": {
            "actor_state_dict": {
                k: torch.full_like(v, torch.nan) if v.is_floating_point() else v
                for k, v in checkpoint["actor_state_dict"].items()
            }
        },
    }.items():
        torch.save(checkpoint | value, path)
        judge(f"checkpoint with another {name}", call, must_fail=name not in ("tensor", "nan"))
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    judge("the format of PyTorch before 1.6", call, must_fail=False)
    judge.close(at_least=100)


def write_demos(path: Path) -> None:
    rng = np.random.default_rng(0)
    path.unlink(missing_ok=True)
    with DemoWriter(path, env_args={"task": "T"}) as writer:
        for _ in range(3):
            obs, actions = {"policy": rng.normal(size=(5, 3))}, rng.normal(size=(5, 2))
            writer.write(obs=obs, actions=actions, rewards=np.zeros(5), dones=np.zeros(5), success=True)


def odd_demos(file: h5py.File) -> dict[str, Any]:
    """Ways to spoil a file of demonstrations, by their names."""
    one = file["data/demo_1"]
    text = h5py.string_dtype()

    def put(name: str, **how):
        def spoil():
            del one[name]
            one.create_dataset(name, **how)

        return spoil

    def link(name: str, to):
        def spoil():
            del one[name]
            one[name] = to

        return spoil

    huge = {"chunks": (1024, 2), "dtype": "f4"}
    ways = {f"actions of {kind}": put("actions", shape=(5, 2), dtype=kind) for kind in ("S8", "c8", text, "f2", "?")}
    ways |= {f"observations of {kind}": put("obs/policy", shape=(5, 3), dtype=kind) for kind in ("S8", "c8", text)}
    compound = [("a", "f4"), ("b", "i4")]
    return ways | {
        "compound actions": put("actions", shape=(5,), dtype=compound),
        "one number": put("actions", data=1.0),
        "no value": put("actions", data=h5py.Empty("f4")),
        "five axes": put("actions", shape=(5, 1, 1, 1, 2), dtype="f4"),
        "rows of variable length": put("actions", shape=(5,), dtype=h5py.vlen_dtype("f4")),
        "huge actions": put("actions", shape=(10**12, 2), **huge),
        "huge observations": put("obs/policy", shape=(10**13, 2), **huge),
        "a link to nothing": link("actions", h5py.SoftLink("/nowhere")),
        "a link to itself": link("actions", h5py.SoftLink("/data/demo_1/actions")),
        "a link to another file": link("actions", h5py.ExternalLink("nowhere.hdf5", "/a")),
        "a link to its own group": link("obs", h5py.SoftLink("/data")),
        "rewards of text": put("rewards", shape=(5,), dtype="S8"),
        "huge rewards": put("rewards", shape=(10**13,), dtype="f4", chunks=(1024,)),
        "a success of many": lambda: one.attrs.__setitem__("success", [True, False, True]),
        "a success of text": lambda: one.attrs.__setitem__("success", "perhaps"),
        "a length of text": lambda: one.attrs.__setitem__("num_samples", "many"),
        "a length of many": lambda: one.attrs.__setitem__("num_samples", [5, 5]),
        "an endless length": lambda: one.attrs.__setitem__("num_samples", np.inf),
        "arguments that are a number": lambda: file["data"].attrs.__setitem__("env_args", 7),
        "a mask of numbers": lambda: file.create_dataset("mask/train", data=[1.5, 2.5]),
        "a huge mask": lambda: file.create_dataset("mask/train", shape=(10**13,), dtype="f4", chunks=(1024,)),
        "an episode that is an array": lambda: (
            file["data"].pop("demo_0"),
            file["data"].create_dataset("demo_0", data=1),
        ),
    }


def test_demonstrations(judge, tmp_path, rng):
    path = tmp_path / "demos.hdf5"
    write_demos(path)
    calls = {
        "load": lambda: load_demos(path, rewards=True),
        "check": lambda: data.main(["check", str(path)]),
    }
    for call in calls.values():
        try_bytes(judge, path, call, rng, flips=10)
    with h5py.File(path, "r") as file:
        names = list(odd_demos(file))
    for name in names:
        write_demos(path)
        with h5py.File(path, "a") as file:
            odd_demos(file)[name]()
        judge(f"{name}, load", calls["load"], must_fail=False)
        judge(f"{name}, info", lambda: data.main(["info", str(path)]), must_fail=False)
        judge(f"{name}, filter", lambda: data.main(["filter", str(path), "/dev/full/out.hdf5", "--best", "2"]))
    judge.close(at_least=120)


def check_is_one_line(call):
    """Call ``flow-rl data check``, whose verdict is no error but an exit code."""
    with pytest.raises(SystemExit):
        call()


def test_suites(judge, tmp_path, rng):
    path = tmp_path / "suite.yaml"
    suite = {"description": "d", "seeds": [0, 1], "env_steps": 1000, "evaluation": {"every": 100, "episodes": 4}}
    suite |= {"tasks": {"FlowRL-Lift-Franka": {"num_envs": 4, "demonstrations": {"num_demos": 3}, "seeds": [2]}}}
    suite |= {"learners": {"ours": {"learner": "rldt", "overrides": ["agent.seed=1"]}}}
    path.write_text(yaml.safe_dump(suite))
    folders = ["--output", str(tmp_path / "out"), "--records", str(tmp_path / "records"), "--device", "cpu"]

    def call():
        benchmark.main([str(path), "--list", *folders])

    try_bytes(judge, path, call, rng)
    for what, values in odd_values(suite, rng, 60):
        path.write_text(yaml.safe_dump(values))
        judge(f"suite: {what}", call, must_fail=False)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join(9 * ['*' + old])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    path.write_text(bomb)
    judge("a suite whose aliases grow", call)
    judge.close(at_least=80)


def a_record() -> dict:
    point = {"iteration": 0, "env_steps": 0, "seconds": 0.0, "cpu_seconds": 0.0, "success": 0.5, "successes": 2}
    point |= {"episodes": 4, "ci95": [0.1, 0.9], "mean_return": 1.0, "return_std": 0.5, "return_ci95": [0.5, 1.5]}
    last = point | {"iteration": 3, "env_steps": 300, "seconds": 3.0, "outcomes": "0101"}
    record = {"suite": "s", "task": "FlowRL-Lift-Franka", "learner": "rldt", "algorithm": "rldt", "seed": 0}
    record |= {"preset": "ours", "curve": [point, last], "final": last, "best": last, "base": {"evaluation": point}}
    return record | {"num_envs": 4, "commands": {"train": "flow-rl train"}, "host": {"cpu": "c", "cores": 2}}


def test_records(judge, tmp_path, rng, monkeypatch):
    from flow_rl.benchmark import report as reports

    folder = tmp_path / "records" / "s"
    folder.mkdir(parents=True)
    path = folder / "FlowRL-Lift-Franka__rldt__0.json"
    path.write_text(json.dumps(a_record()))
    words = ["report", "--records", str(folder.parent), "--output", str(tmp_path.parent / f"{tmp_path.name}_out")]
    from flow_rl.benchmark import tables

    written = tmp_path.parent / f"{tmp_path.name}.md"

    def call():
        benchmark.main([*words, "s"])

    assert reports and tables and written
    try_bytes(judge, path, call, rng)
    for what, values in odd_values(a_record(), rng, 40):
        path.write_text(json.dumps(values))
        judge(f"record: {what}", call, must_fail=False)
    judge.close(at_least=60)


def test_poses_of_objects(judge, tmp_path, rng):
    path = tmp_path / "poses.json"
    poses = {"object": {"position": [0.5, 0.0, 0.02], "quaternion": [0.0, 0.0, 0.0, 1.0], "stamp": 1.0}}
    path.write_text(json.dumps(poses))

    def call():
        open_objects(str(path))()

    try_bytes(judge, path, call, rng)
    for what, values in odd_values(poses, rng, 40):
        path.write_text(json.dumps(values))
        judge(f"poses: {what}", call, must_fail=False)
    judge.close(at_least=60)


def test_packages(judge, tmp_path, rng, sources):  # noqa: F811 - the fixture
    folder = Path(shutil.copytree(sources["package"], tmp_path / "package"))
    contract = json.loads((folder / packages.CONTRACT).read_text())

    def call():
        open_own(folder)

    for name in (packages.CONTRACT, packages.NETWORK, packages.VECTORS):
        try_bytes(judge, folder / name, call, rng, flips=1)

    def seal(values: dict) -> None:
        """What a stranger can do who knows how packages are made."""
        packages.write_contract(folder, {k: v for k, v in values.items() if k not in ("checksum", "files")})

    for what, values in odd_values({k: v for k, v in contract.items() if k != "files"}, rng, 60):
        try:
            seal(values)
        except ValueError:  # no number that JSON knows
            continue
        judge(f"contract: {what}", call, must_fail=False)
    for name in (packages.NETWORK, packages.VECTORS):
        good = (folder / name).read_bytes()
        for what, content in damaged(good, rng, 5):
            (folder / name).write_bytes(content)
            seal(contract)
            judge(f"sealed {name} {what}", call, must_fail=not what.startswith("changed"))
        (folder / name).write_bytes(good)
    seal(contract)
    text = (folder / packages.CONTRACT).read_text()
    for name in ("../../outside", "/etc/passwd", "a\0b"):
        changed = json.dumps(contract | {"files": {name: "0" * 64}})
        (folder / packages.CONTRACT).write_text(changed)
        judge(f"a contract that lists {name!r}", call)
    (folder / packages.CONTRACT).write_text(text)
    judge("the good package", call, must_fail=False)
    judge.close(at_least=120)


@pytest.mark.parametrize("kind", ["noisy.onnx", "noisy.ts"])
def test_policies_of_others(kind, judge, tmp_path, rng, sources):  # noqa: F811 - the fixture
    path = Path(shutil.copy(sources[kind], tmp_path / kind))
    try_bytes(judge, path, lambda: open_policy(BaseSettings(str(path), execute_code=True), INTERFACE), rng)
    judge.close(at_least=20)


def test_folders_of_trainings(judge, tmp_path, rng):
    folder = tmp_path / "run"
    (folder / "params").mkdir(parents=True)
    make_checkpoint(folder / "model_1.pt")
    entry = {"iteration": 1, "env_steps": 8, "success": 0.5, "successes": 2, "episodes": 4, "ci95": [0.1, 0.9]}
    evaluations, agent, env = folder / "evaluations.jsonl", folder / "params/agent.yaml", folder / "params/env.yaml"
    evaluations.write_text(json.dumps(entry) + "\n")
    agent.write_text("num_steps_per_env: 4\nseed: 3\n")
    env.write_text("scene:\n  num_envs: 32\n")

    def call():
        training = Training(folder)
        assert training.evaluations is not None and training.title and training.steps_per_iteration

    for path in (evaluations, agent, env):
        good = path.read_bytes()
        for what, content in damaged(good, rng, 0):
            path.write_bytes(content)
            judge(f"{path.name} {what}", call, must_fail=False)
        path.write_bytes(good)
    for what, values in odd_values({"scene": {"num_envs": 32}}, rng, 15):
        env.write_text(yaml.safe_dump(values))
        judge(f"env.yaml: {what}", call, must_fail=False)
    env.write_text("scene:\n  num_envs: 32\n")
    judge("the good folder", call, must_fail=False)
    for name in ("model_1.pt", "params/agent.yaml"):
        (folder / name).write_bytes(b"\x80nothing")
        judge(f"report: {name}", lambda: report.main([str(folder)]))
    judge.close(at_least=60)


def test_what_suites_and_demos_keep_for_themselves(judge, tmp_path, rng):
    suite, run, show = tmp_path / "suite", tmp_path / "run", tmp_path / "show"
    for folder in (suite, run, show):
        folder.mkdir()
    (suite / PLAN).write_text(json.dumps({"runs": [], "seconds": None}))
    (run / resume.STATE).write_text(json.dumps({"identity": {"a": 1}, "resumed_after": [], "iterations": 3}))
    (show / "phases.json").write_text(json.dumps({"settings": {"seed": 0}, "phases": {}}))
    kept = {
        suite / PLAN: lambda: benchmark.main(["status", str(suite), "--once"]),
        show / "phases.json": lambda: demo.Demo(show, {"seed": 0}),
    }
    for path, call in kept.items():
        good = path.read_bytes()
        for what, content in damaged(good, rng, 0):
            path.write_bytes(content)
            judge(f"{path.name} {what}", call)
        path.write_bytes(good)
        judge(f"good {path.name}", call, must_fail=False)
    judge.close(at_least=35)
