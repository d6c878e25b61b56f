# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Build the USD file of the Franka Panda from the URDF in the pip package ``example-robot-data``.

``python -m flow_rl_assets.build`` builds it now; otherwise the first spawn does. The file lies in a cache folder
outside the package (``FLOW_RL_CACHE``, by default ``flow_rl`` in ``XDG_CACHE_HOME`` or ``~/.cache``), under a name that
depends on this source file and on the versions of the packages it is made from, so that a stale file is never used.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

GRIPPER_BOXES = {
    "panda_hand": ((0.0, 0.0, 0.02), (0.063, 0.204, 0.09)),
    "panda_leftfinger": ((0.0, 0.00758, 0.02725), (0.0175, 0.0152, 0.0545)),
    "panda_rightfinger": ((0.0, -0.00758, 0.02725), (0.0175, 0.0152, 0.0545)),
}
"""Centre and size [m] of the one collision box of each gripper body, in the frame of that body.

The inner face of a finger box is that of the rubber pad (y = 0), its lower end that of the finger tip.
"""

_SOURCES = ("example-robot-data", "urdf-usd-converter", "usd-exchange")


def cache_dir() -> Path:
    """Folder for everything flow_rl builds on this machine."""
    if folder := os.environ.get("FLOW_RL_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flow_rl"


def panda_usd_path() -> Path:
    """Where the USD file of the Panda lies or will lie. Builds nothing."""
    return cache_dir() / f"panda-{_fingerprint()}.usdc"


def build_panda() -> Path:
    """Path of the USD file of the Panda, built if it is missing. Safe to call from several processes."""
    path = panda_usd_path()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Same folder, so that the last step is an atomic rename on one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as folder:
            _convert(Path(folder)).replace(path)
    return path


@functools.cache
def _fingerprint() -> str:
    """Hash of this file and of the versions of what it converts."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in _SOURCES:
        digest.update(f"{package}=={metadata.version(package)}".encode())
    return digest.hexdigest()[:16]


def _robot_data_share() -> Path:
    """The ``share`` folder of the cmeel prefix that holds ``example-robot-data``."""
    share = Path(sysconfig.get_path("purelib")) / "cmeel.prefix" / "share"
    if not (share / "example-robot-data").is_dir():
        raise FileNotFoundError(
            f"The Panda's URDF is missing: no folder {share / 'example-robot-data'}. "
            f"Install it: {sys.executable} -m pip install example-robot-data"
        )
    return share


def _convert(folder: Path) -> Path:
    """Convert the URDF into one flat USD file in ``folder``, with box colliders on the gripper only."""
    import usdex.core
    from pxr import Sdf, Usd
    from urdf_usd_converter import Converter

    # The converter announces each of its steps, and lines in the meshes that it rightly leaves out.
    usdex.core.setDiagnosticsLevel(usdex.core.DiagnosticsLevel.eError)
    usdex.core.activateDiagnosticsDelegate()

    share = _robot_data_share()
    converter = Converter(
        layer_structure=False,
        scene=False,  # the simulation owns the physics scene
        ros_packages=[{"name": "example-robot-data", "path": str(share / "example-robot-data")}],
    )
    urdf = share / "example-robot-data/robots/panda_description/urdf/panda.urdf"
    source = converter.convert(str(urdf), str(folder / "converted"))
    stage = Usd.Stage.Open(source.path)
    stage.Flatten().Export(str(folder / "panda.usdc"))
    stage = Usd.Stage.Open(str(folder / "panda.usdc"))
    _move_articulation_root(stage)
    _replace_colliders(stage, stage.GetDefaultPrim().GetPath())
    assert not stage.GetPrimAtPath(Sdf.Path("/PhysicsScene")), "a second physics scene would fight the simulation's"
    stage.GetRootLayer().Save()
    return folder / "panda.usdc"


def _move_articulation_root(stage) -> None:
    """Put the articulation root on the robot itself: on its first link PhysX would take the base for a floating one."""
    from pxr import Usd, UsdPhysics

    for prim in Usd.PrimRange(stage.GetDefaultPrim()):
        prim.RemoveAPI(UsdPhysics.ArticulationRootAPI)
        prim.RemoveAppliedSchema("NewtonArticulationRootAPI")
    UsdPhysics.ArticulationRootAPI.Apply(stage.GetDefaultPrim())


def _replace_colliders(stage, root) -> None:
    """Remove all collision geometry of the URDF and put one box on each gripper body.

    Arm links carry no colliders: contacts then cost less, and the arm does not snag.
    """
    from pxr import Gf, Usd, UsdGeom, UsdPhysics

    prims = list(Usd.PrimRange(stage.GetPrimAtPath(root)))
    for prim in prims:
        if prim.HasAPI(UsdPhysics.CollisionAPI):
            stage.RemovePrim(prim.GetPath())
    bodies = {prim.GetName(): prim for prim in prims if prim.IsValid() and prim.HasAPI(UsdPhysics.RigidBodyAPI)}
    for name, (centre, size) in GRIPPER_BOXES.items():
        box = UsdGeom.Cube.Define(stage, bodies[name].GetPath().AppendChild("collision_box"))
        box.CreateSizeAttr(1.0)
        box.CreateExtentAttr([Gf.Vec3f(-0.5), Gf.Vec3f(0.5)])
        box.AddTranslateOp().Set(Gf.Vec3d(*centre))
        box.AddScaleOp().Set(Gf.Vec3f(*size))
        box.CreatePurposeAttr(UsdGeom.Tokens.guide)  # hidden from cameras
        UsdPhysics.CollisionAPI.Apply(box.GetPrim())


if __name__ == "__main__":
    print(build_panda())
