# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What viewers show besides the scene: where chunks lead, what else the policy might have done, how episodes end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

import isaaclab.sim as sim_utils
from isaaclab.markers import VisualizationMarkers, VisualizationMarkersCfg

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv

    from flow_rl.evaluation.episodes import Policy

CHOSEN, SAMPLED = (1.0, 0.35, 0.0), (0.10, 0.45, 1.0)
"""Colours of the chunk that is executed, and of further samples of the policy."""

SUCCESS, FAILURE = (0.13, 0.65, 0.33), (0.82, 0.25, 0.22)
"""Colours of the frame around the table when an episode ends."""


class ChunkView:
    """Draws the paths along which chunks lead the tools, and frames the table in the colour of the episode's outcome.

    Made of Isaac Lab's markers, which every viewer draws, and only where there is a viewer. The final state of an
    episode is rendered once more, with its outcome, before the environment is reset.
    """

    def __init__(self, env: ManagerBasedRLEnv):
        """Create the markers."""
        self.env = env
        self.num_particles = 16
        """Further samples of the policy that are drawn."""
        self.hold = 0.0
        """How long the final state of an episode stays [s]."""
        self.sample_chunks: Callable[[dict, int, torch.Generator], torch.Tensor] | None = None
        """The policy's :meth:`~flow_rl.models.FlowPolicy.sample_chunks`, if it can be sampled."""
        self._generator = torch.Generator(env.device).manual_seed(0)  # the policy's own numbers stay as they are
        self._lines = _markers("Lines", chosen=_rod(0.004, CHOSEN), sampled=_rod(0.0015, SAMPLED))
        self._ends = _markers("Ends", chosen=_cube(0.012, CHOSEN), sampled=_cube(0.006, SAMPLED))
        table = env.cfg.scene.table
        size = (table.spawn.size[0] + 0.1, table.spawn.size[1] + 0.1, 0.03)
        self._frames = _markers("Outcomes", success=_box(size, SUCCESS), failure=_box(size, FAILURE))
        self._frame_pos = env.scene.env_origins + torch.tensor(table.init_state.pos, device=env.device)
        camera, origin = env.cfg.sim.default_visualizer_cfg, env.scene.env_origins[0].cpu()
        eye, lookat = (tuple((origin + torch.tensor(point)).tolist()) for point in (camera.eye, camera.lookat))
        env.sim.set_camera_view(eye, lookat)  # the first environment, not what is between all of them

    def follow(self, policy: Policy, num_particles: int, hold: float = 0.0) -> None:
        """Sample a policy's chunks, if it can be sampled, and hold the ends of episodes [s]."""
        actor = getattr(policy, "actor", None)
        self.sample_chunks = actor and actor.sample_chunks
        self.num_particles, self.hold = num_particles, hold

    def show_chunks(self, chunks: torch.Tensor) -> None:
        """Draw where chunks (E, H * A) lead that are about to be executed, and where further samples would."""
        shown = chunks.unsqueeze(0)
        if self.sample_chunks is not None and self.num_particles > 0:
            samples = self.sample_chunks(self.env.obs_buf, self.num_particles, self._generator)
            shown = torch.cat((shown, samples.to(shown)))
        paths = self.env.action_manager.get_term("chunk").planned_paths(shown)  # (R, 1 + N, E, H + 1, 3)
        paths = paths.movedim(2, 0).flatten(1, 2)  # (E, R * (1 + N), H + 1, 3)
        kinds = torch.ones(paths.shape[:2], dtype=torch.int32, device=paths.device)
        kinds[:, :: len(shown)] = 0  # of each arm, the first is the chosen one
        start, shift = paths[:, :, :-1], paths.diff(dim=2)
        self._lines.visualize(
            translations=(start + 0.5 * shift).flatten(0, 2),
            orientations=_quat_along(shift).flatten(0, 2),
            scales=torch.nn.functional.pad(shift.norm(dim=-1, keepdim=True), (2, 0), value=1.0).flatten(0, 2),
            marker_indices=kinds.unsqueeze(2).expand(start.shape[:3]).flatten(),
        )
        self._ends.visualize(translations=paths[:, :, -1].flatten(0, 1), marker_indices=kinds.flatten())

    def show_outcomes(self, env_ids: Sequence[int] | torch.Tensor) -> None:
        """Frame the tables whose episodes are over, render, and take the frames away."""
        env = self.env
        over = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
        over[env_ids] = True
        over &= env.reset_buf.bool() & (env.episode_length_buf > 0)  # as at the beginning nothing is over
        if not env.sim.is_rendering or not over.any():
            return
        self._draw_frames(over)
        for _ in range(1 + round(self.hold / env.sim.get_rendering_dt())):
            env.sim.render()
        self._draw_frames(torch.zeros_like(over))

    def _draw_frames(self, over: torch.Tensor) -> None:
        """Frame these tables in the colours of their outcomes, and no others."""
        failure = ~self.env.termination_manager.get_term("success")
        scales = over.float().unsqueeze(1).expand(-1, 3)
        self._frames.visualize(translations=self._frame_pos, scales=scales, marker_indices=failure.int())


def _markers(name: str, **prototypes: sim_utils.ShapeCfg) -> VisualizationMarkers:
    """Group of markers of these kinds."""
    return VisualizationMarkers(VisualizationMarkersCfg(prim_path=f"/Visuals/{name}", markers=prototypes))


def _rod(radius: float, color: tuple[float, float, float]) -> sim_utils.CylinderCfg:
    """Rod of length 1 along z, to be scaled."""
    return sim_utils.CylinderCfg(
        radius=radius, height=1.0, visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=color)
    )


def _box(size: tuple[float, float, float], color: tuple[float, float, float]) -> sim_utils.CuboidCfg:
    return sim_utils.CuboidCfg(size=size, visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=color))


def _cube(edge: float, color: tuple[float, float, float]) -> sim_utils.CuboidCfg:
    return _box((edge,) * 3, color)


def _quat_along(shift: torch.Tensor) -> torch.Tensor:
    """Rotations (x, y, z, w) of the z axis into directions or, which is the same for a rod, against them."""
    x, y, z = (shift / shift.norm(dim=-1, keepdim=True).clamp(min=1e-9)).unbind(dim=-1)
    quat = torch.stack((-y, x, torch.zeros_like(z), (1.0 + z).clamp(min=1e-6)), dim=-1)
    return torch.nn.functional.normalize(quat, dim=-1)
