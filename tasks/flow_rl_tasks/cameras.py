# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Cameras for films, drawn by Newton's Warp renderer: they need neither a screen nor a GPU."""

import torch

import isaaclab.sim as sim_utils
from isaaclab.sensors import CameraCfg
from isaaclab.utils.math import create_rotation_matrix_from_view, quat_from_matrix
from isaaclab_newton.renderers import NewtonWarpRendererCfg


def front_camera(
    width: int,
    height: int,
    eye: tuple[float, float, float] = (1.5, -0.8, 0.75),
    target: tuple[float, float, float] = (0.3, 0.0, 0.25),
) -> CameraCfg:
    """Camera of each environment that looks from ``eye`` to ``target`` [m], in the frame of the environment."""
    view = create_rotation_matrix_from_view(torch.tensor([eye]), torch.tensor([target]), up_axis="Z", device="cpu")
    return CameraCfg(
        prim_path="{ENV_REGEX_NS}/Camera",
        width=width,
        height=height,
        data_types=["rgb"],
        offset=CameraCfg.OffsetCfg(pos=eye, rot=tuple(quat_from_matrix(view)[0].tolist()), convention="opengl"),
        spawn=sim_utils.PinholeCameraCfg(focal_length=20.0, clipping_range=(0.01, 50.0)),
        renderer_cfg=NewtonWarpRendererCfg(),
    )
