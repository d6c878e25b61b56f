# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whatever is wrong with a file of a policy, commands say so in one line, and leave all files as they are."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from flow_rl.cli import report
from flow_rl.deploy import package as packages
from flow_rl.evaluation.training import Training
from flow_rl.policies import BaseSettings, Interface, open_policy
from flow_rl.policies.sources import open_own
from tests.malformed import Judge, damaged, odd_values, try_bytes
from tests.policies.conftest import A, H, make_checkpoint, sources  # noqa: F401 - a fixture

INTERFACE = Interface({"policy": [2]}, H, A)


@pytest.fixture
def judge(capsys, tmp_path) -> Judge:
    return Judge(capsys, tmp_path)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(26)


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
        _ = training.evaluations, training.title, training.steps_per_iteration

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
