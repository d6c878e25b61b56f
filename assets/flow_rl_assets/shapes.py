# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rigid parts made of convex shapes: plates with holes, pegs, trays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

Vector = tuple[float, float, float]


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
class Cylinder:
    """Cylinder along z, of ``length`` [m], around ``pos`` [m]."""

    radius: float
    length: float
    pos: Vector = (0.0, 0.0, 0.0)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points [m] of shape (..., 3) lie inside, shape (...)."""
        x, y, z = np.moveaxis(np.subtract(points, self.pos), -1, 0)
        return (x**2 + y**2 < self.radius**2) & (np.abs(z) < self.length / 2)


Shape = Box | Capsule | Cylinder


@dataclass
class Part:
    """A rigid body of convex shapes, all of one colour.

    Its z axis is the direction along which it is lifted and assembled. Grippers close on faces along its x or y axis.
    """

    shapes: tuple[Shape, ...]
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


def square_peg(width: float, length: float, radius: float, tip: float) -> tuple[Shape, ...]:
    """Shapes of a square body of ``length`` along z around the origin, with a peg below it that ends at ``tip`` [m]."""
    return Box((width, width, length)), peg(radius, tip=tip, root=radius - length / 2)


def tray(
    size: Vector, wall: float = 0.006, x_walls: Sequence[float] = (), y_walls: Sequence[float] = ()
) -> tuple[Box, ...]:
    """Floor and walls of an open box that stands on z = 0 around the z axis.

    Args:
        size: Inner length and width, and height of the walls [m].
        wall: Thickness of walls and floor [m].
        x_walls: Where walls along y divide it [m].
        y_walls: Where walls along x divide it [m].
    """
    half_x, half_y, centre = (size[0] + wall) / 2, (size[1] + wall) / 2, size[2] / 2
    length, width = 2 * half_x + wall, 2 * half_y + wall
    floor = Box((length, width, wall), (0.0, 0.0, wall / 2))
    across = [Box((wall, width, size[2]), (x, 0.0, centre)) for x in (-half_x, *x_walls, half_x)]
    along = [Box((length, wall, size[2]), (0.0, y, centre)) for y in (-half_y, *y_walls, half_y)]
    return floor, *across, *along
