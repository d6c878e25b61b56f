# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Spawners: a robot whose USD file is built before it is read, and rigid bodies of several shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isaaclab.sim import schemas
from isaaclab.sim.spawners.from_files import spawn_from_usd
from isaaclab.sim.spawners.materials.physics_materials import spawn_physics_material
from isaaclab.sim.spawners.utils import apply_schema_props
from isaaclab.sim.utils import bind_physics_material, bind_visual_material, clone, create_prim

from .build import build_panda, panda_usd_path
from .shapes import Capsule, Cylinder, Shape

if TYPE_CHECKING:
    from pxr import Usd

    from .franka import PandaUsdFileCfg
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
    visual_path, physics_path = f"{prim_path}/visual_material", f"{prim_path}/physics_material"
    cfg.visual_material.func(visual_path, cfg.visual_material)
    spawn_physics_material(physics_path, cfg.physics_material)
    for index, shape in enumerate(cfg.shapes):
        path = f"{prim_path}/shape_{index}"
        _create_shape(path, shape)
        apply_schema_props(cfg.collision_props, path, schemas.apply_collision_properties, None, None)
        bind_visual_material(path, visual_path)
        bind_physics_material(path, physics_path)
    if cfg.rigid_props is not None:
        apply_schema_props(cfg.mass_props, prim_path, schemas.apply_mass_properties, None, None)
        apply_schema_props(cfg.rigid_props, prim_path, schemas.apply_rigid_body_properties, None, None)
    return prim


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
