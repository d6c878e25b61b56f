# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Spawners: a robot whose USD file is built before it is read, and rigid bodies of several shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isaaclab.sim import MassCfg, PreviewSurfaceCfg, schemas
from isaaclab.sim.spawners.from_files import spawn_from_usd
from isaaclab.sim.spawners.materials.physics_materials import spawn_physics_material
from isaaclab.sim.spawners.utils import apply_schema_props
from isaaclab.sim.utils import bind_physics_material, bind_visual_material, clone, create_prim

from .build import build_panda, panda_usd_path
from .shapes import Capsule, Cylinder, Shape

if TYPE_CHECKING:
    from pxr import Usd, UsdPhysics

    from isaaclab.sim import VisualMaterialCfg

    from .franka import PandaUsdFileCfg
    from .mechanism import MechanismSpawnerCfg
    from .parts import PartSpawnerCfg


def spawn_panda(prim_path: str, cfg: PandaUsdFileCfg, *args, **kwargs) -> Usd.Prim:
    """Spawn the Panda; its USD file is built first unless the configuration names another one."""
    if cfg.usd_path == str(panda_usd_path()):
        build_panda()
    return spawn_from_usd(prim_path, cfg, *args, **kwargs)


@clone
def spawn_part(
    prim_path: str,
    cfg: PartSpawnerCfg,
    translation: tuple[float, float, float] | None = None,
    orientation: tuple[float, float, float, float] | None = None,
    **kwargs,
) -> Usd.Prim:
    """Spawn a rigid body, or without ``rigid_props`` something fixed, with one collider per shape below it."""
    prim = create_prim(prim_path, "Xform", translation=translation, orientation=orientation)
    spawn_physics_material(f"{prim_path}/physics_material", cfg.physics_material)
    _create_body(prim_path, cfg, cfg.shapes, cfg.visual_material, cfg.mass_props, f"{prim_path}/physics_material")
    return prim


@clone
def spawn_mechanism(
    prim_path: str,
    cfg: MechanismSpawnerCfg,
    translation: tuple[float, float, float] | None = None,
    orientation: tuple[float, float, float, float] | None = None,
    **kwargs,
) -> Usd.Prim:
    """Spawn a base that is fixed to the world, and links on their joints."""
    prim = create_prim(prim_path, "Xform", translation=translation, orientation=orientation)
    material_path, base_path = f"{prim_path}/physics_material", f"{prim_path}/base"
    spawn_physics_material(material_path, cfg.physics_material)
    create_prim(base_path, "Xform")
    _create_body(base_path, cfg, cfg.shapes, cfg.visual_material, MassCfg(mass=1.0), material_path)
    _create_joint(prim, "base_joint", "Fixed", base_path)
    for name, link in cfg.links.items():
        link_path = f"{prim_path}/{name}_link"
        create_prim(link_path, "Xform", translation=link.pos)
        colour = PreviewSurfaceCfg(diffuse_color=link.colour)
        _create_body(link_path, cfg, link.shapes, colour, MassCfg(mass=link.mass), material_path)
        joint = _create_joint(prim, name, {"hinge": "Revolute", "slide": "Prismatic"}[link.joint], link_path, base_path)
        joint.CreateAxisAttr(link.axis)
        low, high = map(math.degrees, link.limits) if link.joint == "hinge" else link.limits  # as USD wants them
        joint.CreateLowerLimitAttr(low)
        joint.CreateUpperLimitAttr(high)
        joint.CreateLocalPos0Attr(link.pos)
    schemas.apply_articulation_root_properties(prim_path, cfg.articulation_props, create_if_missing=True)
    schemas.apply_joint_drive_properties(f"{prim_path}/.*", cfg.joint_drive_props, create_if_missing=True)
    return prim


def _create_joint(prim: Usd.Prim, name: str, kind: str, body: str, base: str | None = None) -> UsdPhysics.Joint:
    """Create a joint between two bodies, or between a body and the world."""
    from pxr import UsdPhysics

    joint = getattr(UsdPhysics, f"{kind}Joint").Define(prim.GetStage(), prim.GetPath().AppendChild(name))
    joint.CreateBody1Rel().SetTargets([body])
    if base is not None:
        joint.CreateBody0Rel().SetTargets([base])
    return joint


def _create_body(
    path: str,
    cfg: PartSpawnerCfg,
    shapes: tuple[Shape, ...],
    visual_material: VisualMaterialCfg,
    mass_props: MassCfg,
    physics_material: str,
) -> None:
    """Create the shapes of one colour below a prim, which becomes a rigid body if there are ``rigid_props``."""
    visual_path = f"{path}/visual_material"
    visual_material.func(visual_path, visual_material)
    for index, shape in enumerate(shapes):
        shape_path = f"{path}/shape_{index}"
        _create_shape(shape_path, shape)
        apply_schema_props(cfg.collision_props, shape_path, schemas.apply_collision_properties, None, None)
        bind_visual_material(shape_path, visual_path)
        bind_physics_material(shape_path, physics_material)
    if cfg.rigid_props is not None:
        apply_schema_props(mass_props, path, schemas.apply_mass_properties, None, None)
        apply_schema_props(cfg.rigid_props, path, schemas.apply_rigid_body_properties, None, None)


def _create_shape(path: str, shape: Shape) -> None:
    """Create the prim of one shape."""
    if isinstance(shape, Capsule):
        attributes = {"radius": shape.radius, "height": shape.length - 2 * shape.radius, "axis": "Z"}
        create_prim(path, "Capsule", translation=shape.pos, attributes=attributes)
    elif isinstance(shape, Cylinder):
        attributes = {"radius": shape.radius, "height": shape.length, "axis": "Z"}
        create_prim(path, "Cylinder", translation=shape.pos, attributes=attributes)
    else:
        turn = (0.0, 0.0, math.sin(shape.yaw / 2), math.cos(shape.yaw / 2))
        create_prim(path, "Cube", translation=shape.pos, orientation=turn, scale=shape.size, attributes={"size": 1.0})
