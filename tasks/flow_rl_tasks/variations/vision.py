# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks seen through cameras: what turns the state variant of a task into its ``-Vision`` variant."""

import copy
from collections.abc import Iterable
from typing import Any

from isaaclab.envs.mdp import image_rgb
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg
from isaaclab.utils import configclass

from flow_rl.utils.check import require, require_choice
from flow_rl_tasks import mdp
from flow_rl_tasks.core.follow import default_of, follow
from flow_rl_tasks.variations.cameras import Vector, policy_cameras
from flow_rl_tasks.variations.pictures import vary_pictures
from flow_rl_tasks.variations.sim_to_real import PROPRIOCEPTION

SETTINGS = ("image_size", "supersampling", "front_eye", "front_target", "wrists")
"""Fields of :class:`VisionMixin`, from which cameras and pictures are made."""


@configclass
class VisionMixin:
    """Comes before a task's configuration: the actor sees cameras and feels itself, the critic sees the state.

    Observation groups: ``policy`` (proprioception), ``front`` and those of :attr:`wrists` (bytes, channels first), and
    ``state``, which is what the policy of the state variant sees. Pictures differ between environments by colours,
    poses and lenses of cameras, and clutter if ``presets=varied_pictures`` is given.
    """

    image_size: int = 96
    """Edge of the images [pixels]."""

    supersampling: int = 1
    """Edge, in rendered pixels, of the squares whose means are the images' pixels. The renderer looks along one ray per
    pixel; with 4, images are smooth as those of :mod:`flow_rl.deploy.preprocessing`, and cost 16 times as much."""

    front_eye: tuple[float, float, float] = (1.05, -0.55, 0.65)
    """Where the front camera is [m]."""

    front_target: tuple[float, float, float] = (0.45, 0.0, 0.08)
    """Where the front camera looks [m]."""

    wrists: dict[str, str] = {"wrist": "Robot"}
    """Names of the wrist cameras, and of the prims of the robots that carry them."""

    def __post_init__(self):
        """Add the cameras, and leave the actor what it can feel."""
        super().__post_init__()
        pictures = _pictures(**{name: getattr(self, name) for name in SETTINGS})
        for name, (camera, term) in pictures.items():
            setattr(self.scene, name, camera)
            setattr(self.observations, name, ObservationGroupCfg())
            getattr(self.observations, name).rgb = term
        self.observations.state = copy.deepcopy(self.observations.policy)
        self.observations.state.enable_corruption = False
        for name, term in list(vars(self.observations.policy).items()):
            if isinstance(term, ObservationTermCfg) and name.removesuffix("_2") not in PROPRIOCEPTION:
                setattr(self.observations.policy, name, None)
        vary_pictures(self, tuple(pictures))

    def validate_config(self) -> None:
        """Let cameras and pictures follow the fields above where those were overridden, after construction."""
        super().validate_config()
        default, present = ({name: read(self, name) for name in SETTINGS} for read in (default_of, getattr))
        _check(self.scene, default["wrists"], **present)
        was, now = _pictures(**default), _pictures(**present)
        for name, (camera, term) in now.items():
            follow(getattr(self.scene, name), was[name][0], camera)
            follow(getattr(self.observations, name).rgb, was[name][1], term)


def _check(scene: InteractiveSceneCfg, cameras: Iterable[str], *, wrists: dict[str, str], **settings: Any) -> None:
    """Refuse sizes of nothing, cameras that the task has not, and robots that the scene has not."""
    for name in ("image_size", "supersampling"):
        remedy = "leave it out to use the default."
        require(settings[name] >= 1, f"env.{name}", settings[name], "an integer >= 1", remedy)
    listed = ", ".join(cameras)
    require([*wrists] == [*cameras], "env.wrists", wrists, f"a robot for {listed}", "override env.wrists.<camera>.")
    robots = [asset.prim_path.split("/")[-1] for name, asset in vars(scene).items() if name.startswith("robot")]
    for name, robot in wrists.items():
        require_choice(f"env.wrists.{name}", robot, robots)


def _pictures(
    image_size: int, supersampling: int, front_eye: Vector, front_target: Vector, wrists: dict[str, str]
) -> dict[str, tuple[CameraCfg, ObservationTermCfg]]:
    """Each camera by its name, and the observation of its picture."""
    cameras = policy_cameras(image_size * supersampling, front_eye, front_target, wrists)
    return {name: (camera, _picture(name, supersampling)) for name, camera in cameras.items()}


def _picture(camera: str, supersampling: int) -> ObservationTermCfg:
    sensor = SceneEntityCfg(camera)
    if supersampling > 1:
        return ObservationTermCfg(func=mdp.mean_image, params={"sensor_cfg": sensor, "factor": supersampling})
    return ObservationTermCfg(func=image_rgb, params={"sensor_cfg": sensor, "normalize": False, "channel_first": True})
