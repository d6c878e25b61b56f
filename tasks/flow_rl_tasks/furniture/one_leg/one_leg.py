# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Parts and joints of the one_leg task: the top of a square table and one of its legs.

Sizes follow FurnitureBench's square table: a top of 16.25 cm with holes at +-5.625 cm, a leg of 3 x 3 x 8.75 cm.
The peg's rounded tip stands in for the original's chamfers.
"""

import math

from flow_rl_assets.furniture import Furniture, screw
from flow_rl_assets.shapes import FOOT_HEIGHT, Frame, Part, feet, perforated_plate, square_peg

PEG_RADIUS = 0.0115
TOP_WIDTH, TOP_THICKNESS = 0.1625, 0.031
LEG_WIDTH, LEG_LENGTH, PEG_LENGTH = 0.03, 0.0875, 0.025
HOLES = [(x, y) for x in (-0.05625, 0.05625) for y in (-0.05625, 0.05625)]


def one_leg(clearance: float = 0.0015) -> Furniture:
    """One of four holes of the table's top, which lies upside down, takes the leg; ``clearance`` in m per side."""
    tip = -LEG_LENGTH / 2 - PEG_LENGTH
    top = Part(
        shapes=perforated_plate((TOP_WIDTH, TOP_WIDTH, TOP_THICKNESS), HOLES, 2 * (PEG_RADIUS + clearance))
        + feet(TOP_WIDTH / 2 - 0.006, TOP_WIDTH / 2 - 0.006, -TOP_THICKNESS / 2),
        mass=0.5,
        start=Frame((0.6, 0.14, TOP_THICKNESS / 2 + FOOT_HEIGHT)),
        colour=(0.78, 0.66, 0.48),
    )
    leg = Part(
        shapes=square_peg(LEG_WIDTH, LEG_LENGTH, PEG_RADIUS, tip),
        mass=0.1,
        start=Frame((0.38, -0.15, LEG_WIDTH / 2), (0.0, math.pi / 2, 0.0)),
        colour=(0.35, 0.22, 0.12),
        grasp=LEG_LENGTH / 2 - 0.012,
        lying_grasp=-0.006,
    )
    return Furniture(
        name="one_leg",
        parts={"top": top, "leg": leg},
        joints=(screw("leg", "top", tip, [(x, y, TOP_THICKNESS / 2) for x, y in HOLES]),),
        clearance=clearance,
    )


ONE_LEG = one_leg()
