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

import warp as wp

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
