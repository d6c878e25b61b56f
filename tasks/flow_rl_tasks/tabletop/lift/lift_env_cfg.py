# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the lift task: the cube, where it begins, and when it is lifted."""

import math

import isaaclab.sim as sim_utils
from isaaclab.assets import RigidObjectCfg
from isaaclab.utils import configclass
from isaaclab_physx.sim.schemas import PhysxRigidBodyCfg

from flow_rl_assets.franka import COLLISION_PROPS, GRIP_MATERIAL, SOLVER_ITERATIONS
from flow_rl_tasks import mdp
from flow_rl_tasks.core.table_cfg import RobotEventsCfg, TabletopSceneCfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import TabletopEnvCfg, TabletopTerminationsCfg, scatter, success
from flow_rl_tasks.variations.vision import VisionMixin

CUBE_SIZE = 0.05
"""Edge of the cube [m]."""

LIFT_HEIGHT = 0.1
"""Height of the cube above its rest at which the task is solved [m]."""


@configclass
class LiftSceneCfg(TabletopSceneCfg):
    """Franka Panda behind a table with a cube."""

    object: RigidObjectCfg = RigidObjectCfg(
        prim_path="{ENV_REGEX_NS}/Object",
        init_state=RigidObjectCfg.InitialStateCfg(pos=(0.5, 0.0, CUBE_SIZE / 2)),
        spawn=sim_utils.CuboidCfg(
            size=(CUBE_SIZE,) * 3,
            mass_props=sim_utils.MassCfg(mass=0.1),
            rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(**SOLVER_ITERATIONS)],
            collision_props=COLLISION_PROPS,
            physics_material=GRIP_MATERIAL,
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.75, 0.12, 0.10)),
        ),
    )


@configclass
class LiftEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_object = scatter(x=0.1, y=0.2, yaw=math.pi / 4)


@configclass
class LiftTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(mdp.lifted, height=CUBE_SIZE / 2 + LIFT_HEIGHT)


@configclass
class LiftEnvCfg(TabletopEnvCfg):
    """Lift a cube with a Franka Panda."""

    scene: LiftSceneCfg = LiftSceneCfg(num_envs=64, env_spacing=2.5)
    events: LiftEventsCfg = LiftEventsCfg()
    terminations: LiftTerminationsCfg = LiftTerminationsCfg()
    episode_length_s: float = 30.0


@configclass
class LiftVisionEnvCfg(VisionMixin, LiftEnvCfg):
    """The same, seen through cameras."""
