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
from scipy.spatial.transform import Rotation

Vector = tuple[float, float, float]

KINDS = ("insert", "screw", "place")


@dataclass
class Frame:
    """Pose relative to a part: position [m], and orientation as roll, pitch, yaw [rad]."""

    pos: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)

    def matrix(self) -> np.ndarray:
        """Homogeneous transformation from this frame to its parent, shape (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self._rotation().as_matrix(), self.pos
        return matrix

    def quat(self) -> tuple[float, float, float, float]:
        """Orientation (x, y, z, w)."""
        return tuple(self._rotation().as_quat().tolist())

    def _rotation(self) -> Rotation:
        return Rotation.from_euler("xyz", self.rpy)

    def transform(self) -> tuple[float, ...]:
        """Position and orientation (x, y, z, w), 7 numbers."""
        return (*map(float, self.pos), *self.quat())


@dataclass
class Box:
    """Box with edges ``size`` [m] around ``pos`` [m], turned by ``yaw`` [rad] about z."""

    size: Vector
    pos: Vector = (0.0, 0.0, 0.0)
    yaw: float = 0.0

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points [m] of shape (..., 3) lie inside, shape (...)."""
        x, y, z = np.moveaxis(np.subtract(points, self.pos), -1, 0)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        distance = np.abs(np.stack((c * x + s * y, c * y - s * x, z), axis=-1))
        return np.all(distance < np.divide(self.size, 2), axis=-1)


@dataclass
class Capsule:
    """Capsule along z with hemispheres at both ends, of ``length`` [m] over all, around ``pos`` [m]."""

    radius: float
    length: float
    pos: Vector = (0.0, 0.0, 0.0)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points [m] of shape (..., 3) lie inside, shape (...)."""
        x, y, z = np.moveaxis(np.subtract(points, self.pos), -1, 0)
        beyond = np.maximum(np.abs(z) - (self.length / 2 - self.radius), 0.0)
        return x**2 + y**2 + beyond**2 < self.radius**2


@dataclass
class Part:
    """A rigid body of convex shapes, all of one colour.

    Its z axis is the direction along which it is lifted and assembled. Grippers close on faces along its x or y axis.
    """

    shapes: tuple[Box | Capsule, ...]
    mass: float
    """Mass [kg]; the centre of mass and the inertia follow from the shapes."""

    start: Frame
    """Pose at the beginning of an episode in the frame of the environment, before randomisation."""

    colour: Vector = (0.7, 0.55, 0.35)
    grasp: float = 0.0
    """Where the gripper takes the standing part, from above: z in the part's frame [m]."""

    lying_grasp: float | None = None
    """Where the gripper takes the lying part: z in the part's frame [m]; None for parts that never lie."""

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points [m] of shape (..., 3) in the part's frame lie inside a shape, shape (...)."""
        return np.any([shape.contains(points) for shape in self.shapes], axis=0)


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


def perforated_plate(
    size: Vector, holes: Sequence[tuple[float, float]], hole_width: float, pos: Vector = (0.0, 0.0, 0.0)
) -> tuple[Box, ...]:
    """Boxes of a plate with square through holes, on a grid: each combination of the holes' x and y is a hole."""
    if not holes:
        raise ValueError("holes is empty; a plate without holes is a Box.")
    xs, ys = sorted({x for x, _ in holes}), sorted({y for _, y in holes})
    gaps = [b - a for line in (xs, ys) for a, b in zip(line, line[1:], strict=False)]
    if min(gaps, default=math.inf) <= hole_width:
        raise ValueError(f"holes={list(holes)} overlap: put them further apart than hole_width={hole_width} m.")
    missing = {(x, y) for x in xs for y in ys} - set(holes)
    if missing:
        raise ValueError(f"holes={list(holes)} are not on a grid, add {sorted(missing)}.")
    half_x, half_y, half = size[0] / 2, size[1] / 2, hole_width / 2
    if max(map(abs, xs)) + half >= half_x or max(map(abs, ys)) + half >= half_y:
        raise ValueError(f"holes={list(holes)} of width {hole_width} m reach beyond the plate's size={size}.")

    def spans(centres: list[float], end: float) -> list[tuple[float, float, bool]]:
        """Intervals from -end to end, and whether each is a hole's."""
        edges = [-end] + [edge for centre in centres for edge in (centre - half, centre + half)] + [end]
        return [(a, b, bool(i % 2)) for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False))]

    def box(x0: float, x1: float, y0: float, y1: float) -> Box:
        centre = ((x0 + x1) / 2 + pos[0], (y0 + y1) / 2 + pos[1], pos[2])
        return Box((x1 - x0, y1 - y0, size[2]), centre)

    boxes = []
    for y0, y1, has_holes in spans(ys, half_y):
        for x0, x1, is_hole in spans(xs, half_x) if has_holes else [(-half_x, half_x, False)]:
            if not is_hole:
                boxes.append(box(x0, x1, y0, y1))
    return tuple(boxes)


FOOT_HEIGHT = 0.001
"""How far feet stick out [m]."""


def feet(x: float, y: float, bottom: float, radius: float = 0.004) -> tuple[Capsule, ...]:
    """Four round feet at (+-x, +-y) [m] under a part whose underside is at ``bottom``.

    A part made of many boxes would otherwise rest on all of their corners, and each contact costs time.
    """
    centre = bottom - FOOT_HEIGHT + 1.5 * radius
    return tuple(Capsule(radius, 3 * radius, (i * x, j * y, centre)) for i in (-1, 1) for j in (-1, 1))


def peg(radius: float, tip: float, root: float) -> Capsule:
    """Capsule on the z axis whose rounded end is at ``tip`` and whose other end is buried in the body at ``root``."""
    return Capsule(radius, abs(root - tip), (0.0, 0.0, (tip + root) / 2))


def square_peg(width: float, length: float, radius: float, tip: float) -> tuple[Box | Capsule, ...]:
    """Shapes of a square body of ``length`` along z around the origin, with a peg below it that ends at ``tip`` [m]."""
    return Box((width, width, length)), peg(radius, tip=tip, root=radius - length / 2)


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
