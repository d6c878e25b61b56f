# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The kitchen as data: what there is to do, when it is done, and what everything is made of.

x points away from the robot, y to its left, and the counter is at z = 0. All handles are taken from above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flow_rl_assets.mechanism import Link
from flow_rl_assets.shapes import Box, Capsule, Cylinder, Frame, Part, Shape, Vector, feet

STEEL, DARK, WHITE, WOOD = (0.62, 0.64, 0.67), (0.16, 0.17, 0.19), (0.86, 0.86, 0.84), (0.58, 0.42, 0.27)

FRONT_BURNER, BACK_BURNER = (0.42, 0.0), (0.58, 0.0)
"""Centres of the burners, x and y [m]."""

KETTLE_GRIP = 0.14
"""Height of the middle of the kettle's handle above its bottom [m]."""


DOOR_HANDLE = 0.05
"""How far the handle of a door is in front of it [m]."""


def _handle(y: float, bottom: float, top: float) -> tuple[Shape, ...]:
    """Upright round bar, held in front of a door by two struts."""
    length, strut = top - bottom, (DOOR_HANDLE + 0.005, 0.012, 0.012)
    return (
        Capsule(0.009, length, (-DOOR_HANDLE, y, (bottom + top) / 2)),
        *(Box(strut, ((0.005 - DOOR_HANDLE) / 2, y, z)) for z in (bottom + 0.012, bottom + length / 3)),
    )


def _cabinet_door(
    joint: Literal["hinge", "slide"],
    axis: Literal["Y", "Z"],
    pos: Vector,
    limits: tuple[float, float],
    handle_y: float,
    drag: tuple[float, float],
) -> Link:
    """Door of a cabinet, to the left of its origin, with a handle; ``drag`` is friction and damping of its joint."""
    return Link(
        joint=joint,
        axis=axis,
        pos=pos,
        limits=limits,
        shapes=(Box((0.02, 0.26, 0.16), (0.01, 0.13, 0.08)), *_handle(handle_y, 0.03, 0.20)),
        mass=0.5,
        colour=WOOD,
        friction=drag[0],
        damping=drag[1],
    )


def _knob(x: float) -> Link:
    """Knob of a burner: a bar on a stem, which clicks at 0, at an eighth and at a quarter of a turn to the right."""
    shapes = (Cylinder(0.024, 0.03, (0.0, 0.0, 0.015)), Box((0.06, 0.016, 0.05), (0.0, 0.0, 0.055)))
    return Link(
        joint="hinge",
        axis="Z",
        pos=(x, -0.2, 0.004),
        limits=(-1.7, 0.0),
        shapes=shapes,
        mass=0.1,
        colour=DARK,
        friction=0.02,
        damping=0.05,
        detents=(0.0, -0.8, -1.6),
        stiffness=0.3,
    )


@dataclass
class Element:
    """Something to do in the kitchen: a link to move, taken at its handle."""

    link: Link
    goal: float
    """Joint position in the goal [rad or m]."""

    threshold: float
    """Joint position beyond which it is done [rad or m]; of the sign of the goal."""

    handle: Vector
    """Where the handle is taken, in the frame of the link [m]."""

    turn: float = 0.0
    """Share of the link's turn about the vertical that the gripper follows."""

    def __post_init__(self):
        """Refuse what nobody can do; raises a ValueError."""
        if not 0.0 < self.threshold / self.goal <= 1.0:
            raise ValueError(f"threshold={self.threshold} does not lie between 0 and the goal={self.goal}.")
        if not self.link.limits[0] <= self.goal <= self.link.limits[1]:
            raise ValueError(f"goal={self.goal} lies outside of the joint's limits={self.link.limits}.")


ELEMENTS: dict[str, Element] = {
    "microwave": Element(
        link=Link(
            joint="hinge",
            axis="Z",
            pos=(0.46, 0.52, 0.0),
            limits=(-1.2, 0.0),
            shapes=(Box((0.02, 0.26, 0.2), (0.01, -0.13, 0.11)), *_handle(-0.24, 0.05, 0.27)),
            mass=0.8,
            colour=DARK,
            friction=0.1,
            damping=0.5,
        ),
        goal=-0.8,
        threshold=-0.65,
        handle=(-DOOR_HANDLE, -0.24, 0.24),
        turn=0.5,
    ),
    "bottom_burner": Element(_knob(0.36), goal=-0.8, threshold=-0.6, handle=(0.0, 0.0, 0.06), turn=1.0),
    "top_burner": Element(_knob(0.48), goal=-0.8, threshold=-0.6, handle=(0.0, 0.0, 0.06), turn=1.0),
    "light_switch": Element(
        link=Link(
            joint="hinge",
            axis="Y",
            pos=(0.50, -0.36, 0.085),
            limits=(0.0, 0.75),
            shapes=(Box((0.016, 0.016, 0.11), (0.0, 0.0, 0.055)),),
            mass=0.05,
            colour=WHITE,
            friction=0.01,
            damping=0.02,
            detents=(0.0, 0.7),
            stiffness=0.2,
        ),
        goal=0.7,
        threshold=0.5,
        handle=(0.0, 0.0, 0.09),
    ),
    "slide_cabinet": Element(
        _cabinet_door("slide", "Y", pos=(0.72, -0.02, 0.20), limits=(0.0, 0.26), handle_y=0.03, drag=(0.5, 5.0)),
        goal=0.22,
        threshold=0.18,
        handle=(-DOOR_HANDLE, 0.03, 0.165),
    ),
    "hinge_cabinet": Element(
        _cabinet_door("hinge", "Z", pos=(0.72, -0.36, 0.20), limits=(0.0, 1.5), handle_y=0.23, drag=(0.05, 0.3)),
        goal=1.1,
        threshold=0.9,
        handle=(-DOOR_HANDLE, 0.23, 0.165),
        turn=0.6,
    ),
}
"""The six elements that move on joints, by the names of their joints."""

KETTLE = Part(
    shapes=(
        Box((0.10, 0.10, 0.08), (0.0, 0.0, 0.041)),
        *feet(0.035, 0.035, bottom=0.001),
        *(Box((0.012, 0.012, 0.06), (x, 0.0, 0.11)) for x in (-0.038, 0.038)),
        Box((0.088, 0.016, 0.014), (0.0, 0.0, KETTLE_GRIP)),
    ),
    mass=0.3,
    start=Frame((*FRONT_BURNER, 0.0)),
    colour=(0.70, 0.16, 0.14),
)
KETTLE_TOLERANCE = 0.05
"""How far the kettle may be from the axis of the back burner [m]."""

KETTLE_CLEARANCE = 0.06
"""How far the tool has to be from the kettle's handle before it counts [m]."""

SUBTASKS = ("kettle", *ELEMENTS)
"""All there is to do."""

COUNTER: dict[str, tuple[tuple[Shape, ...], Vector, Vector]] = {
    # name: shapes, colour, position
    "microwave_body": (
        (
            Box((0.22, 0.28, 0.01), (0.11, 0.0, 0.005)),
            Box((0.22, 0.28, 0.01), (0.11, 0.0, 0.215)),
            Box((0.22, 0.01, 0.20), (0.11, -0.135, 0.11)),
            Box((0.22, 0.01, 0.20), (0.11, 0.135, 0.11)),
            Box((0.01, 0.26, 0.20), (0.215, 0.0, 0.11)),
        ),
        STEEL,
        (0.485, 0.39, 0.0),
    ),
    "cabinet": (
        (
            Box((0.20, 0.90, 0.01), (0.10, 0.0, 0.005)),
            Box((0.20, 0.90, 0.01), (0.10, 0.0, 0.165)),
            Box((0.01, 0.90, 0.15), (0.195, 0.0, 0.085)),
            *(Box((0.20, 0.01, 0.15), (0.10, y, 0.085)) for y in (-0.445, -0.06, 0.445)),
        ),
        WOOD,
        (0.745, 0.07, 0.195),
    ),
    "switch_box": ((Box((0.06, 0.05, 0.08), (0.0, 0.0, 0.04)),), STEEL, (0.50, -0.36, 0.0)),
}
"""What stands still."""
