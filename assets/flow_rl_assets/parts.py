# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Assets made of shapes, parts that move and fixtures that stay, authored as USD prims when they are spawned."""

from dataclasses import MISSING

import isaaclab.sim as sim_utils
from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.sim.spawners.shapes import ShapeCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.sim.schemas import MujocoCollisionCfg
from isaaclab_physx.sim.schemas import PhysxCollisionCfg, PhysxRigidBodyCfg
from isaaclab_physx.sim.spawners.materials import PhysxMaterialCfg

from .franka import GRIP_MATERIAL, SOLVER_ITERATIONS
from .shapes import Part, Shape, Vector

PART_MATERIAL = [
    # Polished wood on itself. Fingers and table grip with more: of two materials the larger friction counts, on both
    # engines. With a friction of 2 a round tip would not slide off a hole's edge, and so would be no chamfer.
    replace(GRIP_MATERIAL[0], static_friction=0.4, dynamic_friction=0.4),
    PhysxMaterialCfg(friction_combine_mode="max"),
    # MuJoCo-Warp finds one contact per pair of boxes: without torsional friction a held part turns about it. The soft
    # constraint creeps with the 2 cm that flat pads of 1 cm and a friction of 2 come to.
    replace(GRIP_MATERIAL[1], torsional_friction=0.1),
]
"""Contact material of parts."""


@configclass
class PartSpawnerCfg(ShapeCfg):
    """Spawner of several shapes of one colour that collide as they are seen, on parts or fixed in the scene."""

    func = "{DIR}.spawn:spawn_part"

    shapes: tuple[Shape, ...] = MISSING
    """Shapes, in the frame of the prim."""

    # A larger offset than the gap between peg and hole costs contacts that never close.
    collision_props = [
        sim_utils.UsdPhysicsCollisionCfg(collision_enabled=True),
        PhysxCollisionCfg(contact_offset=0.002, rest_offset=0.0),
        MujocoCollisionCfg(condim=4),  # torsional friction
    ]
    physics_material = PART_MATERIAL


def part_cfg(name: str, part: Part) -> RigidObjectCfg:
    """Asset of a part that stands where the part starts."""
    return RigidObjectCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        init_state=RigidObjectCfg.InitialStateCfg(pos=part.start.pos, rot=part.start.quat()),
        spawn=PartSpawnerCfg(
            shapes=part.shapes,
            rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(**SOLVER_ITERATIONS)],
            mass_props=sim_utils.MassCfg(mass=part.mass),
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=part.colour),
        ),
    )


def fixture_cfg(name: str, shapes: tuple[Shape, ...], colour: Vector, pos: Vector = (0.0, 0.0, 0.0)) -> AssetBaseCfg:
    """Asset of something that stays where it is, at ``pos`` [m] in the frame of the environment."""
    return AssetBaseCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        init_state=AssetBaseCfg.InitialStateCfg(pos=pos),
        spawn=PartSpawnerCfg(shapes=shapes, visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=colour)),
    )
