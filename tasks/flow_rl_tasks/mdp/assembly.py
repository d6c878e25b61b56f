# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""State of an assembly in torch tensors, which the kernel of :mod:`.assembly_kernel` updates at every substep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import warp as wp

from isaaclab.utils import index_fill_

from flow_rl_assets.furniture import Furniture, Joint

from .assembly_kernel import AssemblyState, JointData, ThreadData, update_assembly

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv

STABILITY = 0.4
"""Largest stiffness [m / dt^2] and damping [m / dt] of a thread, with m a mass or inertia: the forces are explicit."""


class Assembly:
    """What has been assembled in each environment, in torch tensors that the physics updates at every substep."""

    PHASES = ("grasped", "inserted", "turned", "made")

    def __init__(self, env: ManagerBasedEnv, furniture: Furniture):
        """Follow the parts of ``furniture``, assets of the scene by the same names; refuses broken data."""
        furniture.validate()
        self.furniture, self._env = furniture, env
        self.names = list(furniture.parts)
        self._parts = [env.scene[name] for name in self.names]
        self.num_envs, self.num_joints, self.device = env.num_envs, len(furniture.joints), env.device
        data = [self._joint_data(joint) for joint in furniture.joints]
        frames = [wp.transform(*frame.transform()) for joint in furniture.joints for frame in joint.onto_frames]
        for joint_data, joint, first in zip(data, furniture.joints, self._first_frames(), strict=True):
            joint_data.first_frame, joint_data.num_frames = first, len(joint.onto_frames)
        self._joints = wp.array(data, dtype=JointData, device=self.device)
        self._frames = wp.array(frames, dtype=wp.transform, device=self.device)
        com = [part.data.body_com_pose_b.torch[0, 0, :3].tolist() for part in self._parts]
        self._com = wp.array(com, dtype=wp.vec3, device=self.device)

        shape = (self.num_envs, self.num_joints)
        self._threads = ThreadData()
        threads = ("stiffness", "damping", "tilt_stiffness", "tilt_damping", "drag", "weight")
        self._thread = {name: self._buffer(self._threads, name, shape) for name in threads}
        self.weigh()
        self._state = AssemblyState()
        self.engaged = self._buffer(self._state, "engaged", shape, torch.int32)
        """Whether the peg is in its thread, shape (E, J)."""
        self.frame = self._buffer(self._state, "frame", shape, torch.int32)
        """Receiving frame that is nearest, or in use, shape (E, J)."""
        self.turn = self._buffer(self._state, "turn", shape)
        """Turn since the peg engaged [rad], shape (E, J)."""
        self.depth = self._buffer(self._state, "depth", shape)
        """Depth of the part's frame below the receiving one [m], shape (E, J)."""
        self.lateral = self._buffer(self._state, "lateral", shape)
        """Distance between the axes [m], shape (E, J)."""
        self.tilt = self._buffer(self._state, "tilt", shape)
        """Angle between the axes [rad], shape (E, J)."""
        self.made = self._buffer(self._state, "made", shape, torch.int32)
        """Whether the joint is made, shape (E, J)."""
        self.most_made = self._buffer(self._state, "most_made", shape[:1], torch.int32)
        """Most joints that were made at the same time in this episode, shape (E,)."""
        self._yaw = self._buffer(self._state, "yaw", shape)
        self._start_height = self._buffer(self._state, "start_height", shape)
        self._begun = self._buffer(self._state, "begun", shape[:1], torch.int32)
        self._phases = self._buffer(self._state, "phases", (*shape, len(self.PHASES)), torch.int32)
        self._last_phases = torch.zeros(self._phases.shape, device=self.device)
        self._finished = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._bodies = env.sim.physics_manager.register_body_forces(self._parts, self.update)

    def update(self, pose: wp.array, velocity: wp.array, force: wp.array) -> None:
        """Launch the kernel on the bodies of an engine; adds forces [N] and torques [N m] at centres of mass."""
        wp.launch(
            update_assembly,
            dim=self.num_envs,
            inputs=[self._joints, self._threads, self._frames, self._com, self._bodies, pose, velocity, self._state],
            outputs=[force],
            device=self.device,
        )

    def weigh(self) -> None:
        """Fit the threads to the parts of each environment: what they carry, and what substeps can integrate."""
        cfg = self._env.sim.cfg
        substep = cfg.dt / cfg.physics.num_substeps
        for j, joint in enumerate(self.furniture.joints):
            if joint.thread is None:
                continue
            part = self._parts[self.names.index(joint.part)].data
            mass = part.body_mass.torch[:, 0].double()
            inertia = part.body_inertia.torch.reshape(self.num_envs, 9).double()
            across = torch.minimum(inertia[:, 0], inertia[:, 4])
            limits = {"stiffness": mass / substep, "damping": mass, "tilt_stiffness": across / substep}
            limits |= {"tilt_damping": across, "drag": inertia[:, 8]}
            for name, limit in limits.items():
                self._thread[name][:, j] = (STABILITY * limit / substep).clamp(max=getattr(joint.thread, name))
            self._thread["weight"][:, j] = -mass * cfg.gravity[2]

    def complete(self) -> torch.Tensor:
        """Whether all joints are made, shape (E,)."""
        return self.made.bool().all(dim=1)

    def reset(
        self, env_ids: Sequence[int] | torch.Tensor | slice | None = None, over: torch.Tensor | None = None
    ) -> None:
        """Take the assemblies apart, and log how far those of the last episodes had come.

        Args:
            env_ids: Environments to reset, all by default.
            over: Which of their episodes count in the log, shape (N,); by default all that have begun.
        """
        env_ids = slice(None) if env_ids is None else env_ids
        over = self._begun[env_ids].bool() if over is None else over
        self._last_phases[env_ids] = torch.where(
            over[:, None, None], self._phases[env_ids].float(), self._last_phases[env_ids]
        )
        self._finished[env_ids] |= over
        rates = self._last_phases.sum(dim=0) / self._finished.sum().clamp(min=1)
        log = self._env.extras.setdefault("log", {})
        for j, joint in enumerate(self.furniture.joints):
            for p, phase in enumerate(self.PHASES):
                log[f"Metrics/{joint.part}_{phase}_rate"] = rates[j, p]
        for buffer in (self.engaged, self.made, self.turn, self.most_made, self._phases, self._begun):
            index_fill_(buffer, env_ids, 0)

    def _buffer(
        self, struct: AssemblyState | ThreadData, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Tensor of zeros that the kernel sees as ``struct.<name>``."""
        buffer = torch.zeros(shape, dtype=dtype, device=self.device)
        setattr(struct, name, wp.from_torch(buffer))
        return buffer

    def _first_frames(self) -> list[int]:
        """Index of the first receiving frame of each joint in the list of all."""
        counts = [len(joint.onto_frames) for joint in self.furniture.joints]
        return [sum(counts[:j]) for j in range(len(counts))]

    def _joint_data(self, joint: Joint) -> JointData:
        """Numbers of one joint for the kernel."""
        data = JointData()
        data.part, data.onto = self.names.index(joint.part), self.names.index(joint.onto)
        data.part_frame = wp.transform(*joint.part_frame.transform())
        for name in ("depth", "depth_tolerance", "lateral_tolerance", "tilt_tolerance"):
            setattr(data, name, getattr(joint, name))
        data.is_screw = int(joint.thread is not None)
        if joint.thread is not None:
            data.engage_depth, data.turn = joint.thread.engage_depth, joint.thread.turn
            data.advance = joint.thread.pitch / (2 * math.pi)
        return data
