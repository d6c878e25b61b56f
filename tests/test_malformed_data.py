# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whatever is wrong with a file of data, commands say so in one line, and leave all files as they are."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from flow_rl.benchmark.records import read_records
from flow_rl.benchmark.suite import read_suite
from flow_rl.benchmark.tables import results_table
from flow_rl.cli import benchmark, data
from flow_rl.demos.reader import load_demos
from flow_rl.demos.writer import DemoWriter
from flow_rl.deploy.objects import open_objects
from flow_rl.utils.check import require
from flow_rl.utils.files import reading
from tests.malformed import Judge, damaged, odd_values, try_bytes


@pytest.fixture
def judge(capsys, tmp_path) -> Judge:
    return Judge(capsys, tmp_path)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(26)


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
        judge(f"{name}, filter", lambda: data.main(["filter", str(path), str(path / "out.hdf5"), "--best", "2"]))
    judge.close(at_least=120)


def test_suites(judge, tmp_path, rng):
    path = tmp_path / "suite.yaml"
    suite = {"description": "d", "seeds": [0, 1], "env_steps": 1000, "evaluation": {"every": 100, "episodes": 4}}
    suite |= {"tasks": {"FlowRL-Lift-Franka": {"num_envs": 4, "demonstrations": {"num_demos": 3}, "seeds": [2]}}}
    suite |= {"learners": {"ours": {"learner": "rldt", "overrides": ["agent.seed=1"]}}}
    path.write_text(yaml.safe_dump(suite))

    def call():
        assert read_suite(str(path)).all_seeds()

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
    record |= {"preset": "ours", "curve": [point, last], "final": last, "best": last, "base": point | {"digest": "0"}}
    return record | {"num_envs": 4, "commands": {"train": "flow-rl train"}, "host": {"cpu": "c", "cores": 2}}


def test_records(judge, tmp_path, rng):
    folder = tmp_path / "records" / "s"
    folder.mkdir(parents=True)
    path = folder / "FlowRL-Lift-Franka__rldt__0.json"
    path.write_text(json.dumps(a_record()))

    def call():
        records = read_records(folder.parent, ["s"])
        require(bool(records), "--records", str(folder), "a folder with records", "see the command.")
        with reading(folder, "records", "as flow-rl benchmark report does"):
            assert results_table(records)

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


def test_what_suites_and_demos_keep_for_themselves(judge, tmp_path, rng):
    from flow_rl.benchmark.status import PLAN
    from flow_rl.cli import demo

    suite, show = tmp_path / "suite", tmp_path / "show"
    for folder in (suite, show):
        folder.mkdir()
    (suite / PLAN).write_text(json.dumps({"runs": [], "seconds": None}))
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
