# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a task asks of a robot, in plain values: the part of an exported policy's contract that the simulator knows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import torch

from isaaclab.assets import Articulation
from isaaclab.envs import ManagerBasedEnv
from isaaclab.envs.mdp import (
    BinaryJointPositionActionCfg,
    DifferentialInverseKinematicsActionCfg,
    JointPositionActionCfg,
    RelativeJointPositionActionCfg,
)
from isaaclab.managers import ActionTerm, ObservationTermCfg, SceneEntityCfg
from isaaclab.sensors import Camera
from isaaclab.utils import replace
from isaaclab.utils.math import quat_apply_inverse, quat_conjugate, quat_mul

from flow_rl.utils.check import InputError, require
from flow_rl_tasks.mdp import Rot6dPoseActionCfg

FRAMES = {
    "environment": "origin below the first robot's base at the height of the table top, x away from the robot, z up",
    "joint": "a joint's own zero",
}
"""Where coordinates are counted from; observations name them."""


def describe_task(env: ManagerBasedEnv, groups: list[str], cameras: list[str]) -> dict[str, Any]:
    """Observations, cameras, actions and robots of a task, as plain values.

    Args:
        env: Environment whose actions are chunks.
        groups: Observation groups of vectors, in the policy's order.
        cameras: Observation groups of images.
    """
    chunk = env.action_manager.get_term("chunk")
    terms = _actions(env)
    robots = dict.fromkeys(term.cfg.asset_name for term in chunk.terms if term.action_dim)
    limit = chunk.cfg.limit
    size = sum(term["size"] for term in terms)
    valid = "a number: without it nothing bounds what a robot is told"
    require(limit is not None, "env.actions.chunk.limit", limit, valid, "set env.actions.chunk.limit=1.0.")
    is_absolute = any(term["hold"] == "last" and "body" in term for term in terms)
    start = [value for term in terms for value in term.pop("start")]
    return {
        "control": {"period": env.step_dt / chunk.cfg.horizon, "chunk_length": chunk.cfg.horizon},
        "frames": FRAMES,
        "observations": [term for group in groups for term in _observations(env, group)],
        "cameras": [_camera(env, name) for name in cameras],
        "actions": {
            "terms": terms,
            "lower": [-limit] * size,
            "upper": [limit] * size,
            "max_change": None,
            "start": None if is_absolute else start,  # a robot that stands elsewhere must not be told to go there
            "at_initial_posture": start,
        },
        "robots": {name: _robot(env.scene[name]) for name in robots},
    }


def _observations(env: ManagerBasedEnv, group: str) -> list[dict[str, Any]]:
    """Terms of an observation group."""
    manager = env.observation_manager
    terms = zip(manager.active_terms[group], manager.group_obs_term_dim[group], strict=True)
    return [_observation(env, group, name, shape) for name, shape in terms]


def _observation(env: ManagerBasedEnv, group: str, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """One term; what it measures is said where its function is defined."""
    cfg: ObservationTermCfg = getattr(getattr(env.cfg.observations, group), name)
    func = cfg.func if inspect.isfunction(cfg.func) else type(cfg.func)
    units, frame = getattr(func, "units", None), getattr(func, "frame", None)
    remedy = "mark its function with flow_rl_tasks.mdp.measured(units, frame)."
    require(units is not None, f"observation {group}.{name}", func.__name__, "a function that states its unit", remedy)
    return {
        "name": name,
        "group": group,
        "shape": list(shape),
        "units": units,
        "frame": frame,
        "description": re.sub(r", shape \([^)]*\)", "", " ".join(func.__doc__.split())),
        "of": {key: _plain(env, value) for key, value in (_defaults(func) | cfg.params).items()},
    }


def _defaults(func: Callable) -> dict[str, Any]:
    """Parameters that a function has if nobody gives them."""
    parameters = inspect.signature(func).parameters.values()
    return {item.name: item.default for item in parameters if item.default is not inspect.Parameter.empty}


def _plain(env: ManagerBasedEnv, value: Any) -> Any:
    """A parameter of a term as plain values, entities of the scene with their joints or bodies."""
    if not isinstance(value, SceneEntityCfg):
        return list(value) if isinstance(value, tuple) else value
    value = replace(value)
    value.resolve(env.scene)
    entity, asset = {"entity": value.name}, env.scene[value.name]
    if hasattr(asset, "joint_names"):  # an articulation of either engine
        if value.body_names is not None:
            entity["bodies"] = [asset.body_names[i] for i in value.body_ids]
        else:
            ids = range(asset.num_joints) if isinstance(value.joint_ids, slice) else value.joint_ids
            entity["joints"] = [asset.joint_names[i] for i in ids]
    return entity


def _camera(env: ManagerBasedEnv, name: str) -> dict[str, Any]:
    """A camera's picture, lens and mount; the pose is that of the first environment."""
    camera: Camera = env.scene[name]
    _, height, width = env.observation_manager.group_obs_dim[name]
    rendered = camera.cfg.height
    matrix = camera.data.intrinsic_matrices.torch[0].clone()
    matrix[:2] *= height / rendered
    pos, quat = camera.data.pos_w.torch[0], camera.data.quat_w_opengl.torch[0]
    path = camera.cfg.prim_path
    carriers = [item for item in env.scene.articulations.items() if path.startswith(f"{item[1].cfg.prim_path}/")]
    if not carriers:
        mount, base_pos = "environment", env.scene.env_origins[0]
        base_quat = torch.tensor([0.0, 0.0, 0.0, 1.0], device=pos.device)
    else:
        ((robot_name, robot),) = carriers
        parent = path.split("/")[-2]
        body, mount = robot.body_names.index(parent), f"{parent} of {robot_name}"
        base_pos, base_quat = robot.data.body_pos_w.torch[0, body], robot.data.body_quat_w.torch[0, body]
    return {
        "name": name,
        "size": [height, width],
        "type": "uint8",
        "layout": "(3, height, width)",
        "colour_order": "rgb",
        "preprocessing": ["undistort", "crop: largest middle part of the proportions", "resize: area", "bgr to rgb"],
        "intrinsics": matrix.tolist(),
        "mount": mount,
        "position": quat_apply_inverse(base_quat[None], (pos - base_pos)[None])[0].tolist(),
        "orientation": quat_mul(quat_conjugate(base_quat[None]), quat[None])[0].tolist(),
    }


def _actions(env: ManagerBasedEnv) -> list[dict[str, Any]]:
    """Terms of a single action, in order."""
    described, first = [], 0
    for name, term in zip(
        (key for key, cfg in vars(env.cfg.actions.chunk.terms).items() if cfg is not None),
        env.action_manager.get_term("chunk").terms,
        strict=True,
    ):
        if term.action_dim:
            described.append({"name": name, "first": first, "size": term.action_dim, **_action(term)})
            first += term.action_dim
    return described


def _action(term: ActionTerm) -> dict[str, Any]:
    """What one term makes of its numbers, and which of them keep the robot where it is."""
    cfg, size = term.cfg, term.action_dim
    if isinstance(cfg, BinaryJointPositionActionCfg):
        meaning = "fingers open where the number is 0 or more, else they close"
        facts = {"open": cfg.open_command_expr, "close": cfg.close_command_expr}
        facts |= {"meaning": meaning, "units": "-", "hold": "last", "start": [1.0] * size}
    elif isinstance(cfg, RelativeJointPositionActionCfg):
        facts = {"meaning": "scale * number is added to the joints' positions", "units": "rad"}
        facts |= {"hold": "zero", "start": [0.0] * size, "scale": _row(term._scale, size)}
    elif isinstance(cfg, JointPositionActionCfg):
        scale, offset = (_row(value, size) for value in (term._scale, term._offset))
        now = term._asset.data.default_joint_pos.torch[0, term._joint_ids].tolist()
        start = [(value - o) / s for value, o, s in zip(now, offset, scale, strict=True)]
        facts = {"meaning": "offset + scale * number are the joints' positions", "units": "rad or m"}
        facts |= {"hold": "last", "start": start, "scale": scale, "offset": offset}
    elif isinstance(cfg, DifferentialInverseKinematicsActionCfg):
        facts = _pose(term)
    else:
        raise InputError(f"action of kind {type(cfg).__name__} cannot be exported: its meaning is not known.")
    facts |= {"kind": type(cfg).__name__.removesuffix("Cfg"), "robot": cfg.asset_name}
    return facts | {"joints": term._joint_names}


def _pose(term: ActionTerm) -> dict[str, Any]:
    """What a pose action makes of its numbers."""
    cfg, size = term.cfg, term.action_dim
    is_6d = isinstance(cfg, Rot6dPoseActionCfg)
    relative = cfg.relative if is_6d else cfg.controller.use_relative_mode
    vector = "rotation vector" if relative else "quaternion x, y, z, w"
    rotation = "two columns of a rotation matrix" if is_6d else vector
    where = "change of the tool's pose along the axes of" if relative else "pose of the tool in the frame of"
    return {
        "meaning": f"offset + scale * number are the {where} the robot's base: position, {rotation}",
        "units": "m, rad" if rotation == "rotation vector" else "m, -",
        "hold": "zero" if relative else "last",
        "start": [0.0] * size if relative else _present(term),
        "scale": _row(term._scale, size),
        "offset": _row(term._offset, size),
        "body": term._body_name,
        "tool": list(cfg.body_offset.pos) if cfg.body_offset else [0.0] * 3,
        "controller": {"method": cfg.controller.ik_method, **(cfg.controller.ik_params or {})},
        "bounds_per_step": {"position": cfg.max_step, "angle": cfg.max_turn, "joints": cfg.max_joint_step}
        if is_6d
        else None,
    }


def _present(term: ActionTerm) -> list[float]:
    """Absolute action that keeps the first environment's tool where it is."""
    pos, quat = term._compute_frame_pose()
    if isinstance(term.cfg, Rot6dPoseActionCfg):
        return term.raw_action(pos, quat)[0].tolist()
    return ((torch.cat((pos, quat), dim=1) - term._offset) / term._scale)[0].tolist()


def _row(values: torch.Tensor | float, size: int) -> list[float]:
    """Scale or offset of each number of an action; terms keep them per environment, or one for all."""
    return [values] * size if isinstance(values, float) else [float(f"{value:.7g}") for value in values[0].tolist()]


def _robot(robot: Articulation) -> dict[str, Any]:
    """Joints of a robot, their limits and their drives."""
    data = robot.data
    origin = robot.cfg.init_state
    return {
        "base_position": list(origin.pos),
        "base_orientation": list(origin.rot),
        "joints": robot.joint_names,
        "start": data.default_joint_pos.torch[0].tolist(),
        "limits": data.joint_pos_limits.torch[0].tolist(),
        "velocity_limits": data.joint_vel_limits.torch[0].tolist(),
        "effort_limits": data.joint_effort_limits.torch[0].tolist(),
        "stiffness": data.joint_stiffness.torch[0].tolist(),
        "damping": data.joint_damping.torch[0].tolist(),
    }
