# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture as data: parts made of convex primitives, and the joints that assemble them; checked when it is made.

A joint's frames have their z axes along the direction of assembly, pointing against it: when a part is lowered onto
another one, both point up. The depth of a joint is how far the part's frame has gone below the receiving frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .shapes import Frame, Part, Vector

KINDS = ("insert", "screw", "place")


@dataclass
class Thread:
    """Helical coupling of an engaged peg: it advances by turning clockwise, seen against the direction of assembly.

    The engine limits stiffness and damping to what its time step can integrate, see
    :class:`flow_rl_tasks.mdp.Assembly`.
    """

    engage_depth: float
    """Depth at which the thread begins [m]."""

    turn: float = math.radians(255)
    """Turn that makes the joint [rad]."""

    pitch: float = 0.006
    """Advance per revolution [m]."""

    stiffness: float = 400.0
    """Of the axial spring onto the helix [N/m]."""

    damping: float = 4.0
    """Of axial motion off the helix [N s/m]."""

    tilt_stiffness: float = 0.3
    """Of the spring that aligns the axes [N m/rad]."""

    tilt_damping: float = 0.003
    """Of tilting [N m s/rad]."""

    drag: float = 5.0e-4
    """Friction torque against turning, per angular velocity [N m s/rad]."""


@dataclass
class Joint:
    """One step of the assembly: ``part`` is brought onto or into ``onto``."""

    kind: str
    """``insert`` into a hole, ``screw`` (insert, then turn), or ``place`` upon."""

    part: str
    onto: str
    part_frame: Frame
    """Mating frame of the part; for pegs at the tip."""

    onto_frames: tuple[Frame, ...]
    """Mating frames of the receiving part, any of which will do; for holes at the mouth."""

    depth: float
    """Depth of the made joint [m]."""

    approach: float
    """How far above the made joint the part must be to move freely sideways [m]."""

    depth_tolerance: float = 0.0015
    lateral_tolerance: float = 0.003
    tilt_tolerance: float = math.radians(5)
    thread: Thread | None = None


@dataclass
class Furniture:
    """Parts and the ordered joints that assemble them; raises a ValueError when they do not fit together."""

    name: str
    parts: dict[str, Part]
    joints: tuple[Joint, ...]
    clearance: float = 0.0015
    """Gap between a peg and its hole, per side [m]."""

    def __post_init__(self):
        self.validate()

    def validate(self) -> None:
        """Raise a ValueError that names the field, its value and the remedy."""
        if not self.clearance >= 0.0:
            raise ValueError(
                f"{self.name}: clearance={self.clearance} m is negative, so no peg enters its hole. Valid: 0 or more,"
                " the default is 0.0015."
            )
        for name, part in self.parts.items():
            _check_positive(f"{self.name}: parts[{name!r}].mass", part.mass)
            if not part.shapes:
                raise ValueError(f"{self.name}: parts[{name!r}].shapes is empty; a part needs at least one shape.")
        for index, joint in enumerate(self.joints):
            self._check(f"{self.name}: joints[{index}]", joint)

    def _check(self, where: str, joint: Joint) -> None:
        """Refuse a joint that names no part, or whose frames cannot mate."""
        if joint.kind not in KINDS:
            raise ValueError(f"{where}.kind={joint.kind!r} is unknown. Valid: {', '.join(KINDS)}.")
        for role in ("part", "onto"):
            if (name := getattr(joint, role)) not in self.parts:
                raise ValueError(f"{where}.{role}={name!r} is not a part. Valid: {', '.join(self.parts)}.")
        if joint.part == joint.onto:
            raise ValueError(f"{where} joins {joint.part!r} to itself. Name two different parts.")
        if not joint.onto_frames:
            raise ValueError(f"{where}.onto_frames is empty; name at least one frame of {joint.onto!r}.")
        if (joint.kind == "screw") != (joint.thread is not None):
            raise ValueError(
                f"{where}.thread={joint.thread} does not go with kind={joint.kind!r}: a screw needs a thread, other"
                " kinds have none."
            )
        for name in ("approach", "depth_tolerance", "lateral_tolerance", "tilt_tolerance"):
            _check_positive(f"{where}.{name}", getattr(joint, name))
        if joint.thread is not None:
            self._check_thread(where, joint)
        for number, frame in enumerate(joint.onto_frames):
            self._check_mating(f"{where}.onto_frames[{number}]", joint, frame)

    @staticmethod
    def _check_thread(where: str, joint: Joint) -> None:
        for name in ("engage_depth", "turn", "pitch", "stiffness", "damping", "tilt_stiffness", "tilt_damping", "drag"):
            _check_positive(f"{where}.thread.{name}", getattr(joint.thread, name))
        end = joint.thread.engage_depth + joint.thread.pitch * joint.thread.turn / (2 * math.pi)
        if abs(end - joint.depth) > joint.depth_tolerance:
            raise ValueError(
                f"{where}.depth={joint.depth} m, but its thread ends at {end:.4f} m. Set depth to engage_depth + pitch"
                " * turn / (2 pi)."
            )

    def _check_mating(self, where: str, joint: Joint, frame: Frame) -> None:
        """Bring the two frames together and look whether solid meets solid, and whether there is a hole at all."""
        part, onto = self.parts[joint.part], self.parts[joint.onto]
        # lifted by half a millimetre, so that faces that shall touch do not count
        lifted = frame.matrix() @ Frame((0.0, 0.0, 5e-4 - joint.depth)).matrix()
        radius, angle, height = np.meshgrid(
            np.arange(0.0, 0.04, 0.003),
            np.arange(0.0, 2 * math.pi, math.pi / 8),
            np.arange(-0.002, joint.approach, 0.002),
        )
        points = np.stack((radius * np.cos(angle), radius * np.sin(angle), height, np.ones_like(angle)), axis=-1)
        both = part.contains((points @ joint.part_frame.matrix().T)[..., :3]) & onto.contains(
            (points @ lifted.T)[..., :3]
        )
        if both.any():
            at = ", ".join(f"{1000 * value:.0f}" for value in points[both][0, :3])
            raise ValueError(
                f"{where}={frame} is no place for {joint.part!r}: with the joint made, {joint.part!r} and"
                f" {joint.onto!r} would overlap at ({at}) mm in the part's mating frame. Put the frames onto the axes"
                " of peg and hole, with z against the direction of assembly, and let the peg fit."
            )
        around = points[np.isclose(points[..., 2], points[0, 0, 0, 2])]
        if joint.kind != "place" and not onto.contains((around @ frame.matrix().T)[..., :3]).any():
            raise ValueError(
                f"{where}={frame} lies off {joint.onto!r}: nothing of the part surrounds it. Put it at the mouth of the"
                " hole, or on the shoulder of the peg."
            )


def screw(part: str, onto: str, tip: float, mouths: Sequence[Vector]) -> Joint:
    """Joint of a peg whose tip is at z = ``tip`` with one of the threaded holes whose mouths are at ``mouths`` [m]."""
    thread = Thread(engage_depth=0.02)
    return Joint(
        kind="screw",
        part=part,
        onto=onto,
        part_frame=Frame((0.0, 0.0, tip)),
        onto_frames=tuple(Frame(mouth) for mouth in mouths),
        depth=thread.engage_depth + thread.pitch * thread.turn / (2 * math.pi),
        approach=0.04,
        thread=thread,
    )


def _check_positive(name: str, value: float) -> None:
    if not value > 0.0:
        raise ValueError(f"{name}={value} must be positive.")
