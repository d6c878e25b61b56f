# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""State of an assembly, joint by joint, and the threads of its screws: one Warp kernel per physics substep.

Depth, tilt and turn are measured in the frames of :class:`flow_rl_assets.furniture.Joint`. Once the tip of a screw has
passed the beginning of its thread, springs and dampers hold it on the helix ``depth = engage_depth + pitch * turn /
(2 pi)`` and along the hole's axis; it advances only by turning, and friction keeps it where it is. Hole and peg get
opposite forces, and the weight of the peg is carried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import warp as wp

from isaaclab.utils import index_fill_

from flow_rl_assets.furniture import Furniture, Joint

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv

STABILITY = 0.4
"""Largest stiffness [m / dt^2] and damping [m / dt] of a thread, with m a mass or inertia: the forces are explicit."""

LOOSE = math.radians(20)
"""A made screw that is turned back by more than this is no longer made [rad]."""

SLACK = 0.008
"""How far a peg may be above the beginning of its thread before it is out [m].

Real threads do not let go of who pulls; the spring that stands for them gives way by millimetres under a hand.
"""

APART = 0.01
"""Further beyond the tolerances than this, a made insertion or placement is no longer made [m]."""

JAMMED = math.radians(20)
"""Tilt at which a thread lets go [rad]."""

LIFTED = 0.03
"""Rise of a part that counts as grasped [m]."""


@wp.struct
class JointData:
    """One joint on the device; see :class:`flow_rl_assets.furniture.Joint` and ``Thread``."""

    part: int
    onto: int
    part_frame: wp.transform
    first_frame: int
    num_frames: int
    depth: float
    depth_tolerance: float
    lateral_tolerance: float
    tilt_tolerance: float
    is_screw: int
    engage_depth: float
    turn: float
    advance: float


@wp.struct
class ThreadData:
    """Threads of all environments E and joints J; see :class:`flow_rl_assets.furniture.Thread`."""

    stiffness: wp.array2d(dtype=float)
    damping: wp.array2d(dtype=float)
    tilt_stiffness: wp.array2d(dtype=float)
    tilt_damping: wp.array2d(dtype=float)
    drag: wp.array2d(dtype=float)
    weight: wp.array2d(dtype=float)


@wp.struct
class AssemblyState:
    """State of all environments E and joints J, overwritten at every substep."""

    engaged: wp.array2d(dtype=int)
    frame: wp.array2d(dtype=int)
    yaw: wp.array2d(dtype=float)
    turn: wp.array2d(dtype=float)
    depth: wp.array2d(dtype=float)
    lateral: wp.array2d(dtype=float)
    tilt: wp.array2d(dtype=float)
    made: wp.array2d(dtype=int)
    most_made: wp.array(dtype=int)
    begun: wp.array(dtype=int)
    start_height: wp.array2d(dtype=float)
    phases: wp.array3d(dtype=int)


@wp.func
def wrap(angle: float):
    """Angle in [-pi, pi]."""
    return wp.atan2(wp.sin(angle), wp.cos(angle))


@wp.func
def thread_wrench(
    threads: ThreadData,
    env: int,
    j: int,
    advance: float,
    error: float,
    axis: wp.vec3,
    part_axis: wp.vec3,
    point_velocity: wp.vec3,
    spin: wp.vec3,
):
    """Force and torque on the peg at its centre of mass, from its motion relative to the hole."""
    turn_rate = -wp.dot(spin, axis)
    rate_error = advance * turn_rate + wp.dot(point_velocity, axis)
    pull = threads.weight[env, j] * axis[2] - threads.stiffness[env, j] * error - threads.damping[env, j] * rate_error
    swing = spin + turn_rate * axis
    torque = (
        threads.tilt_stiffness[env, j] * wp.cross(part_axis, axis)
        - threads.tilt_damping[env, j] * swing
        + threads.drag[env, j] * turn_rate * axis
    )
    return wp.spatial_vector(pull * axis, torque)


@wp.kernel
def update_assembly(
    joints: wp.array(dtype=JointData),
    threads: ThreadData,
    frames: wp.array(dtype=wp.transform),
    com: wp.array(dtype=wp.vec3),
    bodies: wp.array2d(dtype=int),
    pose: wp.array(dtype=wp.transform),
    velocity: wp.array(dtype=wp.spatial_vector),
    state: AssemblyState,
    force: wp.array(dtype=wp.spatial_vector),
):
    """Measure all joints of one environment, add the forces of its threads and say what is made."""
    env = wp.tid()
    num_made = wp.int32(0)
    for j in range(joints.shape[0]):
        joint = joints[j]
        part_body = bodies[env, joint.part]
        onto_body = bodies[env, joint.onto]
        tip = pose[part_body] * joint.part_frame

        # the nearest of the receiving frames, or the one in which the peg is engaged
        engaged = state.engaged[env, j]
        chosen = state.frame[env, j]
        if engaged == 0:
            nearest = wp.float32(1.0e9)
            for f in range(joint.num_frames):
                seen = wp.transform_inverse(pose[onto_body] * frames[joint.first_frame + f]) * tip
                distance = wp.length(wp.transform_get_translation(seen))
                if distance < nearest:
                    nearest = distance
                    chosen = f
        seat = pose[onto_body] * frames[joint.first_frame + chosen]
        relative = wp.transform_inverse(seat) * tip
        at = wp.transform_get_translation(relative)
        turned = wp.transform_get_rotation(relative)
        depth = -at[2]
        lateral = wp.sqrt(at[0] * at[0] + at[1] * at[1])
        tilt = wp.acos(wp.clamp(wp.quat_rotate(turned, wp.vec3(0.0, 0.0, 1.0))[2], -1.0, 1.0))
        side = wp.quat_rotate(turned, wp.vec3(1.0, 0.0, 0.0))
        yaw = wp.atan2(side[1], side[0])
        made = state.made[env, j]
        turn = state.turn[env, j]
        aligned = lateral <= joint.lateral_tolerance and tilt <= joint.tilt_tolerance

        motion = wp.length(velocity[part_body]) + wp.length(velocity[onto_body])
        if not wp.isfinite(depth + lateral + tilt + yaw + motion):
            # a broken environment gets no forces and earns nothing
            engaged = 0
            made = 0
            turn = 0.0
            yaw = 0.0
        elif joint.is_screw == 1:
            if engaged == 0:
                turn = 0.0
                if aligned and depth >= joint.engage_depth:
                    engaged = 1
            else:
                turn -= wrap(yaw - state.yaw[env, j])
                if depth < joint.engage_depth - SLACK or lateral > 2.0 * joint.lateral_tolerance or tilt > JAMMED:
                    engaged = 0
                    turn = 0.0
            if engaged == 0 or turn < joint.turn - LOOSE:
                made = 0
            if engaged == 1:
                error = joint.engage_depth + joint.advance * turn - depth
                if turn >= joint.turn and wp.abs(error) <= joint.depth_tolerance and aligned:
                    made = 1
                axis = wp.quat_rotate(wp.transform_get_rotation(seat), wp.vec3(0.0, 0.0, 1.0))
                part_axis = wp.quat_rotate(wp.transform_get_rotation(tip), wp.vec3(0.0, 0.0, 1.0))
                part_com = wp.transform_point(pose[part_body], com[joint.part])
                arm = part_com - wp.transform_point(pose[onto_body], com[joint.onto])
                part_velocity = velocity[part_body]
                onto_velocity = velocity[onto_body]
                onto_spin = wp.spatial_bottom(onto_velocity)
                spin = wp.spatial_bottom(part_velocity) - onto_spin
                slip = wp.spatial_top(part_velocity) - wp.spatial_top(onto_velocity) - wp.cross(onto_spin, arm)
                wrench = thread_wrench(threads, env, j, joint.advance, error, axis, part_axis, slip, spin)
                force[part_body] += wrench
                reaction = -wp.spatial_top(wrench)
                force[onto_body] += wp.spatial_vector(reaction, wp.cross(arm, reaction) - wp.spatial_bottom(wrench))
        else:
            error = wp.abs(depth - joint.depth)
            if aligned and error <= joint.depth_tolerance:
                made = 1
            elif (
                error > joint.depth_tolerance + APART
                or lateral > joint.lateral_tolerance + APART
                or tilt > joint.tilt_tolerance + JAMMED
            ):
                made = 0

        state.engaged[env, j] = engaged
        state.frame[env, j] = chosen
        state.yaw[env, j] = yaw
        state.turn[env, j] = turn
        state.depth[env, j] = depth
        state.lateral[env, j] = lateral
        state.tilt[env, j] = tilt
        state.made[env, j] = made
        num_made += made

        # phases reached in this episode: grasped, inserted, turned, made
        height = wp.transform_get_translation(pose[part_body])[2]
        if state.begun[env] == 0:
            state.start_height[env, j] = height
        if height - state.start_height[env, j] > LIFTED:
            state.phases[env, j, 0] = 1
        if engaged == 1 or made == 1:
            state.phases[env, j, 1] = 1
        if made == 1 or (engaged == 1 and turn > joint.turn / 3.0):
            state.phases[env, j, 2] = 1
        if made == 1:
            state.phases[env, j, 3] = 1
    state.begun[env] = 1
    state.most_made[env] = wp.max(state.most_made[env], num_made)


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
