# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks seen through cameras: what turns the state variant of a task into its ``-Vision`` variant."""

import copy

from isaaclab.envs.mdp import image_rgb
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
from isaaclab.utils import configclass

from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowRunnerCfg

from .cameras import policy_cameras
from .picture_variation import vary_pictures

CAMERAS = ("front", "wrist")
PROPRIOCEPTION = ("eef_pos", "eef_quat", "eef_rot6d", "eef_vel", "gripper_qpos", "gripper_width")
"""Terms of a policy's observations that a real robot knows of itself."""


@configclass
class VisionMixin:
    """Comes before a task's configuration: the actor sees cameras and feels itself, the critic sees the state.

    Observation groups: ``policy`` (proprioception), ``front`` and ``wrist`` (bytes, channels first), and ``state``,
    which is what the policy of the state variant sees. Pictures differ between environments by colours, poses and
    lenses of cameras, and clutter if ``presets=varied_pictures`` is given.
    """

    image_size: int = 96
    """Edge of the images [pixels]."""

    front_eye: tuple[float, float, float] = (1.05, -0.55, 0.65)
    """Where the front camera is [m]."""

    front_target: tuple[float, float, float] = (0.45, 0.0, 0.08)
    """Where the front camera looks [m]."""

    def __post_init__(self):
        """Add the cameras, and leave the actor what it can feel."""
        super().__post_init__()
        for name, camera in policy_cameras(self.image_size, self.front_eye, self.front_target).items():
            setattr(self.scene, name, camera)
            params = {"sensor_cfg": SceneEntityCfg(name), "normalize": False, "channel_first": True}
            group = ObservationGroupCfg()
            group.rgb = ObservationTermCfg(func=image_rgb, params=params)
            setattr(self.observations, name, group)
        self.observations.state = copy.deepcopy(self.observations.policy)
        for name, term in list(vars(self.observations.policy).items()):
            if isinstance(term, ObservationTermCfg) and name not in PROPRIOCEPTION:
                setattr(self.observations.policy, name, None)
        vary_pictures(self, CAMERAS)


@configclass
class VisionObservations:
    """Comes before a learner's configuration: what actor and critic see."""

    obs_groups: dict[str, list[str]] = {"actor": ["policy", *CAMERAS], "critic": ["state"]}
    """The critic's may be the actor's, for learning from pixels alone."""


@configclass
class VisionDemos:
    """Comes before a configuration of behaviour cloning: what the actor sees."""

    obs_keys: list[str] = ["policy", *CAMERAS]


@configclass
class VisionPretrainCfg(VisionDemos, PretrainCfg):
    """Behaviour cloning from pixels."""


@configclass
class VisionScoreFlowRunnerCfg(VisionObservations, ScoreFlowRunnerCfg):
    """ScoRe-Flow from pixels."""


@configclass
class VisionReinFlowRunnerCfg(VisionObservations, ReinFlowRunnerCfg):
    """ReinFlow from pixels."""


@configclass
class VisionRldtRunnerCfg(VisionObservations, RldtRunnerCfg):
    """RLDT from pixels."""
