# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A small policy, and its package for a robot that does not exist."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.export import export_package
from flow_rl.models import FlowPolicy

H, A = 4, 3
IMAGES = {"front": [3, 16, 16], "wrist": [3, 8, 16]}
ENCODER = {"kind": "vit", "output_dim": 12, "width": 16, "num_heads": 2}


def make_policy(**settings) -> FlowPolicy:
    """A policy that moves along one axis, turns along another and grips, fitted to invented data."""
    torch.manual_seed(0)
    defaults = {"obs_groups": {"policy": 5}, "action_dim": A, "horizon": H, "hidden_dims": [32, 32]}
    policy = FlowPolicy.from_settings(defaults | settings).eval()
    policy.fit(2 + torch.randn(200, 5), torch.rand(200, A) * 2 - 1)
    return policy


def make_contract(policy: FlowPolicy, **actions) -> dict[str, Any]:
    """What an environment and a checkpoint would say."""
    horizon, size = policy.horizon, policy.action_dim
    moves = {"name": "arm", "first": 0, "size": size - 1, "hold": "zero", "meaning": "motion", "units": "m"}
    grips = {"name": "gripper", "first": size - 1, "size": 1, "hold": "last", "meaning": "opening", "units": "-"}
    start = [0.0] * (size - 1) + [1.0]
    bounds = {"lower": [-0.8] * size, "upper": [0.8] * size, "max_change": None}
    states = policy.obs_dim - 2
    terms = [("eef_pos", states, "m"), ("gripper_qpos", 2, "m")] if states > 0 else [("eef_pos", policy.obs_dim, "m")]
    return {
        "flow_rl": "0.1.0",
        "task": "FlowRL-Nowhere",
        "stage": "pretrain",
        "learner": None,
        "revision": "0" * 40,
        "iteration": 0,
        "num_test_vectors": 6,
        "control": {"period": 0.1, "chunk_length": horizon},
        "frames": {"environment": "on the table"},
        "observations": [
            {"name": name, "group": "policy", "shape": [dim], "units": units}
            | {"frame": "environment", "description": "somewhere", "of": {}}
            for name, dim, units in terms
        ],
        "cameras": [
            {"name": name, "size": shape[1:], "intrinsics": [[10.0, 0.0, 8.0], [0.0, 10.0, 8.0], [0.0, 0.0, 1.0]]}
            | {"mount": "environment", "position": [0.0] * 3, "orientation": [0.0, 0.0, 0.0, 1.0]}
            for name, shape in policy.image_shapes.items()
        ],
        "actions": {"terms": [moves, grips], "start": start, "at_initial_posture": start, **bounds, **actions},
        "robots": {
            "robot": {"joints": ["j1"], "start": [0.0], "limits": [[-1.0, 1.0]], "stiffness": [8.0], "damping": [1.0]}
        },
    }


def make_samples(policy: FlowPolicy, num: int = 6) -> dict[str, torch.Tensor]:
    """Observations as an environment would give them."""
    generator = torch.Generator().manual_seed(1)
    vectors = {group: 2 + torch.randn(num, dim, generator=generator) for group, dim in policy.group_dims.items()}
    pictures = {
        name: torch.randint(0, 256, (num, *shape), dtype=torch.uint8, generator=generator)
        for name, shape in policy.image_shapes.items()
    }
    return vectors | pictures


def export(policy: FlowPolicy, folder: Path, **actions) -> PolicyPackage:
    """Export a policy with an invented contract."""
    return export_package(policy, make_contract(policy, **actions), make_samples(policy), folder)


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> PolicyPackage:
    """A policy of states."""
    return export(make_policy(), tmp_path_factory.mktemp("state") / "package")


@pytest.fixture(scope="session")
def vision_package(tmp_path_factory) -> PolicyPackage:
    """A policy with two cameras."""
    policy = make_policy(image_shapes=IMAGES, encoder=ENCODER)
    return export(policy, tmp_path_factory.mktemp("vision") / "package")
