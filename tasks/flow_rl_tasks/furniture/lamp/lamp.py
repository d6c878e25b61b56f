# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Parts and joints of the lamp task: a base, a bulb that is screwed into it, and a hood that is placed over the bulb.

The order of assembly and the kinds of joints are FurnitureBench's; its round shells are square here, so that all
colliders are convex.
"""

import math

from flow_rl_assets.furniture import Furniture, Joint, screw
from flow_rl_assets.shapes import FOOT_HEIGHT, Box, Frame, Part, feet, perforated_plate, square_peg

PEG_RADIUS = 0.0115
BASE_WIDTH, BASE_HEIGHT = 0.09, 0.031
BULB_WIDTH, BULB_LENGTH, PEG_LENGTH = 0.028, 0.056, 0.025
HOOD_WIDTH, HOOD_HEIGHT, HOOD_WALL = 0.062, 0.075, 0.008


def lamp(clearance: float = 0.0015) -> Furniture:
    """Lamp with a gap of ``clearance`` [m] per side between the bulb's peg and the base."""
    tip = -BULB_LENGTH / 2 - PEG_LENGTH
    base = Part(
        shapes=perforated_plate((BASE_WIDTH, BASE_WIDTH, BASE_HEIGHT), [(0.0, 0.0)], 2 * (PEG_RADIUS + clearance))
        + feet(BASE_WIDTH / 2 - 0.006, BASE_WIDTH / 2 - 0.006, -BASE_HEIGHT / 2),
        mass=0.4,
        start=Frame((0.56, 0.2, BASE_HEIGHT / 2 + FOOT_HEIGHT)),
        colour=(0.25, 0.27, 0.3),
    )
    bulb = Part(
        shapes=square_peg(BULB_WIDTH, BULB_LENGTH, PEG_RADIUS, tip),
        mass=0.08,
        start=Frame((0.38, -0.03, BULB_WIDTH / 2), (0.0, math.pi / 2, 0.0)),
        colour=(0.95, 0.9, 0.65),
        grasp=BULB_LENGTH / 2 - 0.012,
        lying_grasp=-0.0075,
    )
    half, wall, inner = HOOD_WIDTH / 2, HOOD_WALL, HOOD_WIDTH - 2 * HOOD_WALL
    hood = Part(
        shapes=(
            *(Box((wall, HOOD_WIDTH, HOOD_HEIGHT), (side * (half - wall / 2), 0.0, 0.0)) for side in (-1, 1)),
            *(Box((inner, wall, HOOD_HEIGHT), (0.0, side * (half - wall / 2), 0.0)) for side in (-1, 1)),
            *feet(half - wall / 2, half - wall / 2, -HOOD_HEIGHT / 2),
        ),
        mass=0.1,
        start=Frame((0.42, -0.31, HOOD_HEIGHT / 2 + FOOT_HEIGHT)),
        colour=(0.75, 0.3, 0.15),
        grasp=HOOD_HEIGHT / 2 - 0.012,
    )
    return Furniture(
        name="lamp",
        parts={"base": base, "bulb": bulb, "hood": hood},
        joints=(
            screw("bulb", "base", tip, [(0.0, 0.0, BASE_HEIGHT / 2)]),
            Joint(
                kind="place",
                part="hood",
                onto="base",
                part_frame=Frame((0.0, 0.0, -HOOD_HEIGHT / 2)),
                onto_frames=(Frame((0.0, 0.0, BASE_HEIGHT / 2)),),
                depth=-FOOT_HEIGHT,
                approach=BULB_LENGTH + 0.025,
                depth_tolerance=0.003,
                lateral_tolerance=0.012,
            ),
        ),
        clearance=clearance,
    )


LAMP = lamp()
