# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies of the point mass that nobody here made, one from each kind of source, which all go straight to the goal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner
from torch import nn

from flow_rl.deploy.export import export_package
from flow_rl.models import FlowPolicy
from flow_rl.testing import PointMass, small_config
from flow_rl.testing.learners import pretrained
from tests.deploy.conftest import make_contract

missing = [name for name in ("msgspec", "websockets") if importlib.util.find_spec(name) is None]
collect_ignore = ["test_server.py"] if missing else []  # which needs the extra serve

H, A = 2, 2
PLAIN = {"obs_groups": {"policy": 2}, "action_dim": A, "horizon": H, "hidden_dims": [16, 16]}
SMALL = {"num_critic_updates": 2, "target_repeat": 1, "num_actor_updates": 2, "critic_batch_size": 8}
SMALL |= {"actor_batch_size": 8, "warmup_steps": 0}
MORE = {"dsrl": SMALL | {"num_distillation_updates": 2}, "residual": SMALL, "resip": {"num_learning_epochs": 1}}
"""Settings of the learners that keep the base, for a test."""


def straight(obs: dict[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
    """Chunks (B, H, A) towards the origin, moved a little by noise (B, H, A)."""
    chunk = -0.5 * obs["policy"].unsqueeze(1).expand(-1, H, -1)
    return chunk if noise is None else chunk + 0.1 * noise


def without_noise(obs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same without noise, flattened to (B, H * A)."""
    return straight(obs).flatten(1)


class Network(nn.Module):
    """The same as a network to export, of flattened noise."""

    def forward(self, policy: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (-0.5 * policy).repeat(1, 2) + 0.1 * noise


class Plain(nn.Module):
    """The same without noise, and with an input whose name says nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (-0.5 * x).repeat(1, 2)


def make_checkpoint(path: Path, **settings) -> FlowPolicy:
    """Write a checkpoint of pretraining of the point mass, with ranges unlike [-1, 1]."""
    torch.manual_seed(3)
    policy = FlowPolicy.from_settings(PLAIN | settings).eval()
    policy.fit(torch.randn(50, 2), torch.rand(50, A) - 0.5)
    torch.save(pretrained(policy), path)
    return policy


def export_onnx(network: nn.Module, names: list[str], path: Path, batch: int = 2) -> None:
    """Write a network as ONNX, for any batch or for a batch of one."""
    inputs = tuple(torch.zeros(batch, 2 if name != "noise" else H * A) for name in names)
    free = {"dynamic_shapes": tuple({0: torch.export.Dim("batch", min=1, max=65536)} for _ in names)}
    torch.onnx.export(
        network.eval(), inputs, path, input_names=names, dynamo=True, verbose=False, **(free if batch > 1 else {})
    )


class Sources(dict):
    """Words that name each policy, by its kind; files are written when they are first asked for."""

    def __init__(self, folder: Path):
        super().__init__({"function": f"{__name__}:straight", "plain function": f"{__name__}:without_noise"})
        self.folder = folder

    def __missing__(self, kind: str) -> str:
        path = self.folder / kind
        makers = {
            "flow.pt": make_checkpoint,
            "denoising.pt": lambda path: make_checkpoint(path, sampler={"kind": "denoising"}, num_flow_steps=5),
            "package": lambda path: export_package(
                make_checkpoint(path.with_suffix(".pt")), point_contract(), {"policy": torch.randn(6, 2)}, path
            ),
            "noisy.ts": torch.jit.script(Network()).save,
            "plain.pt": torch.jit.script(Plain()).save,
            "noisy.onnx": lambda path: export_onnx(Network(), ["policy", "noise"], path),
            "single.onnx": lambda path: export_onnx(Plain(), ["obs"], path, batch=1),
        }
        makers[kind](path)
        self[kind] = str(path)
        return self[kind]


def point_contract() -> dict:
    """What a package of the point mass says."""
    contract = make_contract(FlowPolicy.from_settings(PLAIN))
    contract["observations"] = [contract["observations"][0] | {"shape": [2]}]
    contract["actions"]["terms"] = [contract["actions"]["terms"][0] | {"size": A}]
    return contract


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Sources:
    """Policies that nobody here made."""
    return Sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def make_runner(tmp_path):
    """The stock runner of a learner upon a policy: `make_runner(learner, source, env=None, **fields of base)`."""

    def make(learner: str, source: str, env: PointMass | None = None, **base) -> OnPolicyRunner:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        cfg = small_config(learner, from_scratch=False, **MORE.get(learner, {}))
        cfg["actor"]["base"] |= {"source": source, "execute_code": True, **base}
        return OnPolicyRunner(env or PointMass(8), cfg, log_dir=None, device="cpu")

    return make
