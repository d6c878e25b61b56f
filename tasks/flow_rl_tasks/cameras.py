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

HAND_PATH = "{ENV_REGEX_NS}/Robot/Geometry/" + "/".join(f"panda_link{i}" for i in range(9)) + "/panda_hand"


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


def front_camera(
    width: int, height: int, eye: Vector = (1.5, -0.8, 0.75), target: Vector = (0.3, 0.0, 0.25)
) -> CameraCfg:
    """Camera of each environment for films."""
    return camera_cfg("{ENV_REGEX_NS}/Camera", width, height, eye, target)


def policy_cameras(size: int, eye: Vector, target: Vector) -> dict[str, CameraCfg]:
    """Cameras of each environment that policies see with, ``front`` and ``wrist``, of square images."""
    front = camera_cfg("{ENV_REGEX_NS}/FrontCamera", size, size, eye, target)
    # the hand's z axis points to what it grasps
    wrist = camera_cfg(f"{HAND_PATH}/wrist_camera", size, size, (0.08, 0.0, 0.01), (0.0, 0.0, 0.14), focal_length=12.0)
    moving = {"update_latest_camera_pose": True}  # or the picture is that of the first pose for ever
    renderer = {"renderer_cfg": MultiBackendRendererCfg()}
    return {"front": replace(front, **renderer), "wrist": replace(wrist, **renderer, **moving)}
