# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rigid bodies for the parts of furniture, authored as USD prims when they are spawned."""

from dataclasses import MISSING

import isaaclab.sim as sim_utils
from isaaclab.assets import RigidObjectCfg
from isaaclab.sim.spawners.shapes import ShapeCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.sim.schemas import MujocoCollisionCfg
from isaaclab_physx.sim.schemas import PhysxCollisionCfg, PhysxRigidBodyCfg
from isaaclab_physx.sim.spawners.materials import PhysxMaterialCfg

from .franka import GRIP_MATERIAL, SOLVER_ITERATIONS
from .furniture import Part

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
    """Spawner of a rigid body with several colliders, which are also what is seen."""

    func = "{DIR}.spawn:spawn_part"

    part: Part = MISSING
    """Shapes, mass and colour."""


def part_cfg(name: str, part: Part) -> RigidObjectCfg:
    """Asset of a part that stands where the part starts."""
    return RigidObjectCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        init_state=RigidObjectCfg.InitialStateCfg(pos=part.start.pos, rot=part.start.quat()),
        spawn=PartSpawnerCfg(
            part=part,
            rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(**SOLVER_ITERATIONS)],
            mass_props=sim_utils.MassCfg(mass=part.mass),
            # A larger offset than the gap between peg and hole costs contacts that never close.
            collision_props=[
                sim_utils.UsdPhysicsCollisionCfg(collision_enabled=True),
                PhysxCollisionCfg(contact_offset=0.002, rest_offset=0.0),
                MujocoCollisionCfg(condim=4),  # torsional friction
            ],
            physics_material=PART_MATERIAL,
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=part.colour),
        ),
    )
