# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Franka Panda for Newton (MuJoCo-Warp) and for PhysX, from one USD file built on first use."""

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg
from isaaclab.sim.schemas import UsdPhysicsDriveCfg
from isaaclab.sim.spawners.materials import UsdPhysicsRigidBodyMaterialCfg
from isaaclab.utils import configclass
from isaaclab_newton.sim.schemas import MujocoRigidBodyCfg, NewtonArticulationCfg
from isaaclab_newton.sim.spawners.materials import NewtonMaterialCfg
from isaaclab_physx.sim.schemas import PhysxArticulationCfg, PhysxCollisionCfg, PhysxRigidBodyCfg

from .build import panda_usd_path

HAND_BODY = "panda_hand"
"""Body that carries the fingers."""

TCP_OFFSET = (0.0, 0.0, 0.1034)
"""Tool centre point between the finger pads, in the frame of the hand [m]."""

GRIP_MATERIAL = [
    UsdPhysicsRigidBodyMaterialCfg(static_friction=2.0, dynamic_friction=2.0, restitution=0.0),
    # Mass-normalised by MuJoCo: critically damped at 5 ms substeps, kd <= 1 / dt and ke = (kd / 2)^2.
    NewtonMaterialCfg(contact_stiffness=1.0e4, contact_damping=200.0),
]
"""Contact material of fingers and of what they hold; MuJoCo takes the larger friction of a pair."""

COLLISION_PROPS = [
    sim_utils.UsdPhysicsCollisionCfg(collision_enabled=True),
    # Explicit, because PhysX would otherwise derive the offset from the declared time step.
    PhysxCollisionCfg(contact_offset=0.005, rest_offset=0.0),
]
"""Collision settings shared by all shapes that touch the gripper."""

SOLVER_ITERATIONS = {"solver_position_iteration_count": 8, "solver_velocity_iteration_count": 1}
"""PhysX iterations per step; the schema's defaults cost two to three times as much and grasp no better."""


@configclass
class PandaUsdFileCfg(sim_utils.UsdFileCfg):
    """USD file of the Panda that is built when it is first spawned."""

    func = "{DIR}.spawn:spawn_panda"

    usd_path: str = str(panda_usd_path())


FRANKA_CFG = ArticulationCfg(
    spawn=PandaUsdFileCfg(
        # Gravity is compensated, as on the real robot: once per engine, each ignores the other's attribute.
        rigid_props=[MujocoRigidBodyCfg(gravcomp=1.0), PhysxRigidBodyCfg(disable_gravity=True)],
        articulation_props=[
            NewtonArticulationCfg(self_collision_enabled=False),
            PhysxArticulationCfg(enabled_self_collisions=False, **SOLVER_ITERATIONS),
        ],
        collision_props=COLLISION_PROPS,
        physics_material=GRIP_MATERIAL,
        # PhysX only drives joints that have a drive in USD; the actuators below set the gains.
        joint_drive_props={"/.*": [UsdPhysicsDriveCfg(drive_type="force", stiffness=1.0, damping=0.1)]},
        joint_drive_props_create_if_missing=True,
    ),
    init_state=ArticulationCfg.InitialStateCfg(
        joint_pos={
            "panda_joint1": 0.0,
            "panda_joint2": -0.2,
            "panda_joint3": 0.0,
            "panda_joint4": -2.5,
            "panda_joint5": 0.0,
            "panda_joint6": 2.3,
            "panda_joint7": 0.785,
            "panda_finger_joint.*": 0.04,
        },
    ),
    actuators={
        "arm": ImplicitActuatorCfg(
            joint_names_expr=["panda_joint[1-7]"],
            joint_effort_limit={"panda_joint[1-4]": 87.0, "panda_joint[5-7]": 12.0},
            stiffness=800.0,
            damping=40.0,
            armature=0.1,
        ),
        # Fingers weigh 15 g: without armature MuJoCo's mass-normalised contacts let them sink into the object.
        "gripper": ImplicitActuatorCfg(
            joint_names_expr=["panda_finger_joint[12]"],
            joint_effort_limit=70.0,
            stiffness=1000.0,
            damping=100.0,
            armature=0.3,
        ),
    },
    soft_joint_pos_limit_factor=1.0,
)
"""Franka Panda with implicit actuators, compensated gravity and colliders on the gripper only; hand points down."""
