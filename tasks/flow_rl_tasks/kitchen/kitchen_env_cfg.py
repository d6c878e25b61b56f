# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the kitchen tasks: the scene, joint actions, state with goal, one reward per sub-task."""

import isaaclab.sim as sim_utils
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg
from isaaclab.envs.mdp import JointPositionActionCfg, RelativeJointPositionActionCfg
from isaaclab.managers import EventTermCfg, ObservationGroupCfg, ObservationTermCfg, RewardTermCfg, SceneEntityCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.physics import NewtonCfg

from flow_rl_assets.franka import TCP_OFFSET
from flow_rl_assets.mechanism import mechanism_cfg
from flow_rl_assets.parts import fixture_cfg, part_cfg
from flow_rl_tasks import mdp
from flow_rl_tasks.core.env_cfg import ManipulationEnvCfg, simulation_cfg, view
from flow_rl_tasks.core.table_cfg import ARM_JOINTS, FINGERS, HAND, RobotEventsCfg, TabletopSceneCfg, scatter_joints
from flow_rl_tasks.physics.physics_cfg import ManipulationPhysicsCfg, newton_cfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import TabletopTerminationsCfg, success
from flow_rl_tasks.variations.vision import VisionMixin

from . import mdp as kitchen_mdp
from .kitchen import BACK_BURNER, COUNTER, DARK, ELEMENTS, FRONT_BURNER, KETTLE


def _burner(name: str, pos: tuple[float, float]) -> AssetBaseCfg:
    """A disc that is only seen, so that nothing trips over its edge."""
    return AssetBaseCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        init_state=AssetBaseCfg.InitialStateCfg(pos=(*pos, 0.0)),
        spawn=sim_utils.CylinderCfg(
            radius=0.075, height=0.002, visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=DARK)
        ),
    )


@configclass
class KitchenSceneCfg(TabletopSceneCfg):
    """Franka Panda at a counter with a microwave, a stove with a kettle, a light switch and two cabinets."""

    table: AssetBaseCfg = replace(
        TabletopSceneCfg().table,
        init_state=AssetBaseCfg.InitialStateCfg(pos=(0.4, 0.05, -0.025)),
        spawn=replace(
            TabletopSceneCfg().table.spawn,
            size=(1.2, 1.2, 0.05),
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.74, 0.73, 0.70)),
        ),
    )
    kitchen: ArticulationCfg = mechanism_cfg("Kitchen", {name: element.link for name, element in ELEMENTS.items()})
    kettle: RigidObjectCfg = part_cfg("Kettle", KETTLE)
    front_burner: AssetBaseCfg = _burner("FrontBurner", FRONT_BURNER)
    back_burner: AssetBaseCfg = _burner("BackBurner", BACK_BURNER)

    def __post_init__(self):
        """Add what stands still."""
        for name, (shapes, colour, pos) in COUNTER.items():
            setattr(self, name, fixture_cfg(name.title().replace("_", ""), shapes, colour, pos))


@configclass
class KitchenActionTermsCfg:
    """Terms of one action, A = 9: joints of the arm (7), fingers (2); the kitchen's clicks take none."""

    arm: RelativeJointPositionActionCfg = RelativeJointPositionActionCfg(
        asset_name="robot", joint_names=[ARM_JOINTS], scale=0.2
    )
    """Change of the joints' positions per control tick: at most 0.2 rad, actions in [-1, 1]."""

    fingers: JointPositionActionCfg = JointPositionActionCfg(
        asset_name="robot", joint_names=[FINGERS.joint_names], scale=0.02, offset=0.02, use_default_offset=False
    )
    """Positions of the fingers: closed at -1, open at 1."""

    detents: kitchen_mdp.DetentsCfg = kitchen_mdp.DetentsCfg(asset_name="kitchen")


@configclass
class KitchenActionsCfg:
    """Actions of the environment."""

    chunk: mdp.ChunkActionCfg = mdp.ChunkActionCfg(asset_name="robot", horizon=4, terms=KitchenActionTermsCfg())


@configclass
class KitchenCommandsCfg:
    """What is to be done."""

    subtasks: kitchen_mdp.SubTasksCfg = kitchen_mdp.SubTasksCfg(
        targets=("microwave", "kettle", "light_switch", "slide_cabinet"), robot_cfg=HAND, offset=TCP_OFFSET
    )


@configclass
class KitchenObservationsCfg:
    """Observations of the environment."""

    @configclass
    class PolicyCfg(ObservationGroupCfg):
        """State, O = 35: joints of the robot (9), kettle (7), elements (6), and the goal of both (13)."""

        robot_qpos = ObservationTermCfg(func=mdp.joint_pos, params={"robot_cfg": SceneEntityCfg("robot")})
        kettle = ObservationTermCfg(func=kitchen_mdp.kettle)
        elements = ObservationTermCfg(func=kitchen_mdp.elements)
        goal = ObservationTermCfg(func=kitchen_mdp.goal)

    policy: PolicyCfg = PolicyCfg()


@configclass
class KitchenEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_kitchen = scatter_joints(SceneEntityCfg("kitchen"), 0.0)
    reset_kettle = EventTermCfg(
        func=mdp.reset_objects_uniform, mode="reset", params={"objects": ["kettle"], "position": 0.015, "yaw": 0.1}
    )


@configclass
class KitchenRewardsCfg:
    """Sparse reward: 1 for each target sub-task when it is done for the first time in an episode."""

    subtasks = RewardTermCfg(func=mdp.newly_made, weight=1.0, params={"count": kitchen_mdp.solved})


@configclass
class KitchenTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(kitchen_mdp.all_done)

    def __post_init__(self):
        """Watch the kettle."""
        self.watch(("kettle",))


@configclass
class KitchenPhysicsCfg(ManipulationPhysicsCfg):
    """Physics with room for the contacts of the kitchen."""

    newton_mjwarp: NewtonCfg = newton_cfg(njmax=200, nconmax=64)
    default: NewtonCfg = newton_mjwarp


@configclass
class KitchenEnvCfg(ManipulationEnvCfg):
    """Do four things in a kitchen with a Franka Panda, in any order; subclasses differ in the goal and in the expert.

    As in Franka Kitchen (Gupta et al., 2019, "Relay Policy Learning") and its data sets in D4RL (Fu et al., 2020).
    """

    sim: SimulationCfg = simulation_cfg(KitchenPhysicsCfg(), view((-0.35, -0.95, 1.05), (0.5, 0.05, 0.1)))
    scene: KitchenSceneCfg = KitchenSceneCfg(num_envs=64, env_spacing=3.0)
    actions: KitchenActionsCfg = KitchenActionsCfg()
    commands: KitchenCommandsCfg = KitchenCommandsCfg()
    observations: KitchenObservationsCfg = KitchenObservationsCfg()
    events: KitchenEventsCfg = KitchenEventsCfg()
    rewards: KitchenRewardsCfg = KitchenRewardsCfg()
    terminations: KitchenTerminationsCfg = KitchenTerminationsCfg()
    episode_length_s: float = 28.0


@configclass
class KitchenMixedEnvCfg(KitchenEnvCfg):
    """Other targets; no demonstration does all of them."""

    def __post_init__(self):
        """Set the targets."""
        super().__post_init__()
        self.commands.subtasks.targets = ("microwave", "kettle", "bottom_burner", "light_switch")


@configclass
class KitchenVisionMixin(VisionMixin):
    """Comes before a kitchen's configuration: the front camera sees the whole counter, over the robot's shoulder."""

    front_eye: tuple[float, float, float] = (-0.1, -0.75, 0.95)
    """Where the front camera is [m]."""

    front_target: tuple[float, float, float] = (0.5, 0.05, 0.1)
    """Where the front camera looks [m]."""


@configclass
class KitchenVisionEnvCfg(KitchenVisionMixin, KitchenEnvCfg):
    """The same, seen through cameras."""


@configclass
class KitchenMixedVisionEnvCfg(KitchenVisionMixin, KitchenMixedEnvCfg):
    """The same, seen through cameras."""
