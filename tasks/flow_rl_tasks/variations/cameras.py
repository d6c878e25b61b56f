# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Cameras: one for films, and those that policies see with.

By default Newton's Warp renderer draws, which needs neither a screen nor a GPU; the cameras of policies take Isaac
Lab's presets for others (``renderer=rtx``).
"""

import torch

import isaaclab.sim as sim_utils
from isaaclab.sensors import CameraCfg
from isaaclab.utils import replace
from isaaclab.utils.math import create_rotation_matrix_from_view, quat_from_matrix
from isaaclab_newton.renderers import NewtonWarpRendererCfg
from isaaclab_tasks.utils.presets import MultiBackendRendererCfg

Vector = tuple[float, float, float]

HAND_PATH = "Geometry/" + "/".join(f"panda_link{i}" for i in range(9)) + "/panda_hand"
"""Prim of a robot's hand, below the robot's."""


def camera_cfg(
    path: str, width: int, height: int, eye: Vector, target: Vector, focal_length: float = 20.0, up: str = "Z"
) -> CameraCfg:
    """Camera that looks from ``eye`` to ``target`` [m], in the frame of the prim above ``path``."""
    view = create_rotation_matrix_from_view(torch.tensor([eye]), torch.tensor([target]), up_axis=up, device="cpu")
    return CameraCfg(
        prim_path=path,
        width=width,
        height=height,
        data_types=["rgb"],
        offset=CameraCfg.OffsetCfg(pos=eye, rot=tuple(quat_from_matrix(view)[0].tolist()), convention="opengl"),
        spawn=sim_utils.PinholeCameraCfg(focal_length=focal_length, clipping_range=(0.01, 50.0)),
        renderer_cfg=NewtonWarpRendererCfg(),
    )


def front_camera(width: int, height: int, eye: Vector, target: Vector) -> CameraCfg:
    """Camera of each environment for films."""
    return camera_cfg("{ENV_REGEX_NS}/Camera", width, height, eye, target)


def policy_cameras(size: int, eye: Vector, target: Vector, wrists: dict[str, str]) -> dict[str, CameraCfg]:
    """Cameras of each environment that policies see with, of square images: ``front``, and those of the wrists.

    Args:
        size: Edge of the images [pixels].
        eye: Where the front camera is [m].
        target: Where it looks [m].
        wrists: Names of the wrist cameras, and of the prims of the robots that carry them.
    """
    renderer = {"renderer_cfg": MultiBackendRendererCfg()}
    moving = {"update_latest_camera_pose": True}  # or the picture is that of the first pose for ever
    cameras = {"front": replace(camera_cfg("{ENV_REGEX_NS}/FrontCamera", size, size, eye, target), **renderer)}
    for name, robot in wrists.items():
        path = f"{{ENV_REGEX_NS}}/{robot}/{HAND_PATH}/wrist_camera"
        # the hand's z axis points to what it grasps
        wrist = camera_cfg(path, size, size, (0.08, 0.0, 0.01), (0.0, 0.0, 0.14), focal_length=12.0)
        cameras[name] = replace(wrist, **renderer, **moving)
    return cameras
