# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The Panda is built once, completely, outside the repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pxr import Usd, UsdGeom, UsdPhysics

from flow_rl_assets import build


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Usd.Stage:
    """USD stage built into a fresh cache by two processes at the same time."""
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "flow_rl_assets.build"]
    environ = {**os.environ, "FLOW_RL_CACHE": str(cache)}
    builders = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {Path(builder.communicate(timeout=120)[0].strip()) for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert list(cache.iterdir()) == list(paths), "one file, and nothing is left over"
    return Usd.Stage.Open(str(paths.pop()))


def test_only_the_gripper_has_colliders(stage):
    colliders = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.CollisionAPI)]
    assert sorted(prim.GetParent().GetName() for prim in colliders) == sorted(build.GRIPPER_BOXES)
    for prim in colliders:
        assert prim.IsA(UsdGeom.Cube) and UsdGeom.Imageable(prim).GetPurposeAttr().Get() == "guide"


def test_finger_pads_meet_in_the_middle(stage):
    """The inner faces of the finger boxes lie in the plane y = 0 of the hand when the gripper is closed."""
    for name, sign in (("panda_leftfinger", 1), ("panda_rightfinger", -1)):
        (_, centre, _), (_, size, _) = build.GRIPPER_BOXES[name]
        assert centre * sign - size / 2 == pytest.approx(0.0, abs=1e-4)


def test_the_robot_is_one_articulation_without_a_physics_scene(stage):
    roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    assert roots == [stage.GetDefaultPrim()]
    assert not [prim for prim in stage.TraverseAll() if prim.IsA(UsdPhysics.Scene)]
    revolute = [prim for prim in stage.Traverse() if prim.IsA(UsdPhysics.RevoluteJoint)]
    prismatic = [prim for prim in stage.Traverse() if prim.IsA(UsdPhysics.PrismaticJoint)]
    assert (len(revolute), len(prismatic)) == (7, 2)


def test_nothing_outside_the_file_is_referenced(stage):
    assert set(stage.GetUsedLayers()) == {stage.GetRootLayer(), stage.GetSessionLayer()}


def test_the_name_follows_the_builder_and_the_packages(monkeypatch):
    name = build.panda_usd_path().name
    build._fingerprint.cache_clear()
    monkeypatch.setattr(build.metadata, "version", lambda package: "0.0")
    assert build.panda_usd_path().name != name
    build._fingerprint.cache_clear()
