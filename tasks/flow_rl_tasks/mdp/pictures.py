# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pictures of cameras, bytes of shape (E, 3, H, W), and what differs between those of environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import warp as wp
from torch.nn import functional

from isaaclab.managers import EventTermCfg, ManagerTermBase
from isaaclab.utils.math import combine_frame_transforms, quat_from_angle_axis, quat_from_euler_xyz, sample_uniform
from isaaclab.utils.modifiers import ModifierBase, ModifierCfg
from isaaclab_newton.physics import NewtonBackendCfg

from .constants import constant

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv
    from isaaclab.managers import SceneEntityCfg


def mean_image(env: ManagerBasedEnv, sensor_cfg: SceneEntityCfg, factor: int) -> torch.Tensor:
    """Pictures whose pixels are means of squares of ``factor`` x ``factor`` rendered ones.

    That is what :class:`flow_rl.deploy.preprocessing.Preprocessing` makes of frames so many times as large.
    """
    frames = env.scene[sensor_cfg.name].data.output["rgb"].torch[..., :3]
    return functional.avg_pool2d(frames.movedim(-1, 1).float(), factor).round().to(frames.dtype)


class LongerLens(ModifierBase):
    """Pictures (E, C, H, W) of bytes as through lenses whose focal lengths are up to ``longest`` times as long.

    The Warp renderer has one field of rays for all environments and refuses other intrinsics per environment. The
    middle of a picture, enlarged, is what a longer lens shows, only less sharp; a shorter one cannot be had so.
    """

    def __init__(self, cfg: ModifierCfg, data_dim: tuple[int, ...], device: str):
        """Begin with the camera's own lens."""
        super().__init__(cfg, data_dim, device)
        self._focal = torch.ones(data_dim[0], device=device)

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Draw the lenses of new episodes."""
        env_ids = slice(None) if env_ids is None else env_ids
        self._focal[env_ids] = torch.empty_like(self._focal[env_ids]).uniform_(1.0, self._cfg.params["longest"])

    def __call__(self, data: torch.Tensor) -> torch.Tensor:
        """Enlarge the pictures."""
        return enlarge(data, self._focal)


def enlarge(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """The middle of pictures (E, C, H, W) of bytes, ``factor`` (E,) times as large, shape as before."""
    matrix = torch.zeros(len(images), 2, 3, device=images.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0 / factor
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, align_corners=False).round().to(images.dtype)


def shift_camera(
    env: ManagerBasedEnv, env_ids: torch.Tensor | None, sensor_cfg: SceneEntityCfg, position: float, angle: float
) -> None:
    """Mount a camera a little differently in each environment, as on real robots; for the mode ``startup``.

    It is shifted within +-``position`` [m] and turned within +-``angle`` [rad] along each of its own axes. A camera on
    a body stays fixed to it.
    """
    camera = env.scene[sensor_cfg.name]
    pos, quat = camera.data.pos_w.torch, camera.data.quat_w_world.torch
    shift, turn = (sample_uniform(-bound, bound, (len(pos), 3), pos.device) for bound in (position, angle))
    pos, quat = combine_frame_transforms(pos, quat, shift, quat_from_euler_xyz(*turn.unbind(1)))
    camera.set_world_poses(pos, quat, convention="world")


class scatter_clutter(ManagerTermBase):  # noqa: N801  a function that remembers where the shapes are kept
    """Puts shapes that are only seen, part of no body, somewhere beside the workspace, where the Warp renderer looks.

    Args of the call:
        names: Assets below each environment.
        x: Range along the table [m].
        y: Range of the distance from its middle, to either side [m].
    """

    def __init__(self, cfg: EventTermCfg, env: ManagerBasedEnv):
        """Find the rows of the shapes, (S, E), among all that is drawn."""
        super().__init__(cfg, env)
        backend = env.sim.get_or_create_backend(
            NewtonBackendCfg(physics_cfg=env.sim.cfg.physics, device=env.sim.device)
        )
        # a shape's path continues below its asset, such as .../Clutter0/geometry/mesh
        found = {label.partition("/geometry")[0]: row for row, label in enumerate(backend.model.shape_label)}
        paths = [[f"{path}/{name}" for path in env.scene.env_prim_paths] for name in cfg.params["names"]]
        self._rows = torch.tensor([[found[path] for path in each] for each in paths], device=env.device)
        self._poses = wp.to_torch(backend.model.shape_transform)  # (all shapes, 7), shared memory
        self._height = self._poses[self._rows, 2]

    def __call__(
        self,
        env: ManagerBasedEnv,
        env_ids: torch.Tensor,
        names: list[str],
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> None:
        """Draw places and yaws."""
        rows = self._rows[:, env_ids]
        side = torch.randint(0, 2, rows.shape, device=rows.device) * 2.0 - 1.0
        place = torch.stack(
            (sample_uniform(*x, rows.shape, rows.device), side * sample_uniform(*y, rows.shape, rows.device)), dim=-1
        )
        yaw = sample_uniform(-torch.pi, torch.pi, rows.shape, rows.device)
        up = constant((0.0, 0.0, 1.0), rows.device).expand(*rows.shape, 3)
        pos = torch.cat((place + env.scene.env_origins[env_ids, :2], self._height[:, env_ids, None]), dim=-1)
        self._poses[rows] = torch.cat((pos, quat_from_angle_axis(yaw, up)), dim=-1)
