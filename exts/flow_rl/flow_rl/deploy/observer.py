# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What an arm with a gripper measured, and where objects are, as the observations of a policy's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require

from . import rotations
from .package import LAST_ACTIONS, LATENCY


@dataclass(frozen=True, eq=False)
class ArmState:
    """What a robot says about itself, in the frame of its base."""

    position: np.ndarray
    """Of the tool, the point between the finger pads, shape (3,) [m]."""

    quaternion: np.ndarray
    """Orientation of the hand (x, y, z, w)."""

    velocity: np.ndarray
    """Of the tool, linear [m/s] and angular [rad/s], shape (6,)."""

    joints: np.ndarray
    """Joints of the arm, shape (7,) [rad]."""

    width: float
    """Distance between the fingers [m]."""

    force: np.ndarray
    """On the tool, shape (3,) [N]."""

    stamp: float
    """When it was measured [s]."""


@dataclass(frozen=True, eq=False)
class ObjectPose:
    """Where an object is, in the frame of the robot's base."""

    position: np.ndarray
    """Of its origin, shape (3,) [m]."""

    quaternion: np.ndarray
    """Orientation (x, y, z, w)."""

    stamp: float
    """When it was measured [s]."""


class Observer:
    """Makes a contract's observations."""

    def __init__(self, contract: Mapping[str, Any], others: tuple[str, ...] = ()):
        """Look at what the contract asks for.

        Args:
            contract: The package's contract, for one arm.
            others: Observations that come from elsewhere.

        Raises:
            InputError: The contract has an observation that neither an arm nor poses of objects give.
        """
        robot = only_robot(contract)
        self._base = np.array(robot["base_position"]), np.array(robot["base_orientation"])
        self._terms = []
        for term in contract["observations"]:
            if (name := term["name"]) in (*others, LAST_ACTIONS, LATENCY):
                continue
            remedy = "give it as a source of its own, or export a policy that does without it."
            require(name in TERMS, "observation", name, ", ".join(TERMS), remedy)
            self._terms.append(term)
        entities = [_entities(term) for term in self._terms if term["name"] in OF_OBJECTS]
        self.objects: tuple[str, ...] = tuple(dict.fromkeys(name for names in entities for name in names))
        """Objects whose poses are observed."""
        self.tool: tuple[float, ...] | None = next(
            (tuple(term["of"]["offset"]) for term in self._terms if "offset" in term["of"]), None
        )
        """Where in the hand's frame the observed tool is [m]; None if it is not observed."""

    def __call__(
        self, state: ArmState, objects: Mapping[str, ObjectPose]
    ) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Observations by name, and when they were measured [s]; those of objects that are not seen are left out."""
        state = self._in_environment(state)
        objects = {name: self._in_environment(pose) for name, pose in objects.items()}
        values, stamps = {}, {}
        for term in self._terms:
            names = _entities(term) if term["name"] in OF_OBJECTS else ()
            if any(name not in objects for name in names):
                continue
            values[term["name"]] = TERMS[term["name"]](term, state, [objects[name] for name in names])
            stamps[term["name"]] = min([state.stamp, *(objects[name].stamp for name in names)])
        return values, stamps

    def _in_environment(self, item: Any) -> Any:
        """A state or pose in the frame of the environment, where observations are counted from."""
        pos, quat = self._base
        moved = {"position": pos + rotations.rotate(quat, item.position)}
        moved["quaternion"] = rotations.multiply(quat, item.quaternion)
        if isinstance(item, ArmState):
            moved["velocity"] = np.concatenate([rotations.rotate(quat, part) for part in np.split(item.velocity, 2)])
        return type(item)(**(vars(item) | moved))


def only_robot(contract: Mapping[str, Any]) -> Mapping[str, Any]:
    """The single robot of a contract, or an InputError."""
    names = tuple(contract["robots"])
    require(len(names) == 1, "robots", names, "one Franka", "export a policy of a task with one arm.")
    return contract["robots"][names[0]]


def _entities(term: Mapping[str, Any]) -> list[str]:
    """Objects that a term looks at."""
    if "names" in term["of"]:
        return list(term["of"]["names"])
    return [term["of"]["object_cfg"]["entity"]]


def _relative(term: Mapping[str, Any], state: ArmState, objects: list[ObjectPose]) -> np.ndarray:
    return objects[0].position - state.position


def _relative_quat(term: Mapping[str, Any], state: ArmState, objects: list[ObjectPose]) -> np.ndarray:
    return rotations.canonical(rotations.multiply(rotations.inverse(state.quaternion), objects[0].quaternion), 0)


def _joints(term: Mapping[str, Any], state: ArmState, objects: list[ObjectPose]) -> np.ndarray:
    """The arm's joints and fingers that a term lists; each finger is half the width away from the middle."""
    values = {f"panda_joint{i + 1}": value for i, value in enumerate(state.joints)}
    values |= {f"panda_finger_joint{i}": 0.5 * state.width for i in (1, 2)}
    listed = term["of"]["robot_cfg"].get("joints", values)
    if unknown := sorted(set(listed) - set(values)):
        raise InputError(f"observation {term['name']!r} is of {unknown[0]!r}; this robot has {', '.join(values)}.")
    return np.array([values[name] for name in listed])


def _parts(term: Mapping[str, Any], state: ArmState, objects: list[ObjectPose]) -> np.ndarray:
    turned = {"rot6d": rotations.to_columns, "quat": lambda quat: rotations.canonical(quat, 3)}[term["of"]["rotation"]]
    poses = [np.concatenate((item.position - state.position, turned(item.quaternion))) for item in objects]
    return np.concatenate(poses)


TERMS: dict[str, Callable[[Mapping[str, Any], ArmState, list[ObjectPose]], np.ndarray]] = {
    "eef_pos": lambda term, state, objects: state.position,
    "eef_quat": lambda term, state, objects: rotations.canonical(state.quaternion, term["of"].get("positive", 0)),
    "eef_rot6d": lambda term, state, objects: rotations.to_columns(state.quaternion),
    "eef_vel": lambda term, state, objects: state.velocity,
    "gripper_qpos": _joints,
    "gripper_width": lambda term, state, objects: np.array([state.width]),
    "robot_qpos": _joints,
    "object_pos": lambda term, state, objects: objects[0].position,
    "object_quat": lambda term, state, objects: rotations.canonical(objects[0].quaternion, 3),
    "eef_to_object": _relative,
    "eef_to_object_quat": _relative_quat,
    "parts": _parts,
}
"""How observations are made, by their names in the contract."""

OF_OBJECTS = ("object_pos", "object_quat", "eef_to_object", "eef_to_object_quat", "parts")
"""Those that need poses of objects."""
