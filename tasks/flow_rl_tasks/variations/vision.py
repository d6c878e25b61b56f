# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks seen through cameras: what turns the state variant of a task into its ``-Vision`` variant."""

import copy

from isaaclab.envs.mdp import image_rgb
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
from isaaclab.sensors import CameraCfg
from isaaclab.utils import configclass

from flow_rl.utils.check import require
from flow_rl_tasks import mdp
from flow_rl_tasks.variations.cameras import policy_cameras
from flow_rl_tasks.variations.pictures import vary_pictures
from flow_rl_tasks.variations.sim_to_real import PROPRIOCEPTION


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
        cameras = self._cameras()
        for name, camera in cameras.items():
            setattr(self.scene, name, camera)
            setattr(self.observations, name, ObservationGroupCfg())
            getattr(self.observations, name).rgb = self._image(name)
        self.observations.state = copy.deepcopy(self.observations.policy)
        self.observations.state.enable_corruption = False
        for name, term in list(vars(self.observations.policy).items()):
            if isinstance(term, ObservationTermCfg) and name.removesuffix("_2") not in PROPRIOCEPTION:
                setattr(self.observations.policy, name, None)
        vary_pictures(self, tuple(cameras))

    def validate_config(self) -> None:
        """Let the cameras follow the fields above where those were overridden, which happens after construction."""
        super().validate_config()
        default = type(self)()
        names = ("image_size", "supersampling", "front_eye", "front_target")
        if all(getattr(self, name) == getattr(default, name) for name in names):
            return
        for name, camera in self._cameras().items():
            present, term = getattr(self.scene, name), getattr(self.observations, name).rgb
            present.width, present.height, present.offset = camera.width, camera.height, camera.offset
            term.func, term.params = (image := self._image(name)).func, image.params

    def _cameras(self) -> dict[str, CameraCfg]:
        for name in ("image_size", "supersampling"):
            value = getattr(self, name)
            require(value >= 1, f"env.{name}", value, "an integer >= 1", "leave it out to use the default.")
        return policy_cameras(self.image_size * self.supersampling, self.front_eye, self.front_target, self.wrists)

    def _image(self, name: str) -> ObservationTermCfg:
        sensor = SceneEntityCfg(name)
        if self.supersampling > 1:
            return ObservationTermCfg(func=mdp.mean_image, params={"sensor_cfg": sensor, "factor": self.supersampling})
        params = {"sensor_cfg": sensor, "normalize": False, "channel_first": True}
        return ObservationTermCfg(func=image_rgb, params=params)
