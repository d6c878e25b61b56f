# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Parts and joints of the round_table task: a round top, a leg that is screwed into it, and a cross base on the leg.

The order of assembly is FurnitureBench's, and so are the sizes of the leg (3.25 x 3.25 x 9.1 cm). The top is an
octagon of boxes around the hole.
"""

import math

from flow_rl_assets.furniture import Furniture, Joint, screw
from flow_rl_assets.shapes import FOOT_HEIGHT, Box, Frame, Part, feet, peg, perforated_plate, square_peg

PEG_RADIUS = 0.0115
TOP_RADIUS, TOP_THICKNESS, TOP_CORE = 0.075, 0.031, 0.07
LEG_WIDTH, LEG_LENGTH, PEG_LENGTH = 0.0325, 0.091, 0.025
HUB_WIDTH, HUB_HEIGHT, HUB_PEG_RADIUS, HUB_PEG_LENGTH = 0.056, 0.034, 0.0105, 0.015
ARM_LENGTH, ARM_WIDTH, ARM_HEIGHT = 0.045, 0.02, 0.012


def round_table(clearance: float = 0.0015) -> Furniture:
    """Round table, upside down, with a gap of ``clearance`` [m] per side between pegs and holes."""
    end = LEG_LENGTH / 2
    tip = -end - PEG_LENGTH
    core = perforated_plate((TOP_CORE, TOP_CORE, TOP_THICKNESS), [(0.0, 0.0)], 2 * (PEG_RADIUS + clearance))
    rim = TOP_RADIUS - TOP_CORE / 2
    middle = TOP_RADIUS - rim / 2
    side = 2 * TOP_RADIUS * math.tan(math.pi / 8)
    edges = tuple(
        Box((rim, side, TOP_THICKNESS), (middle * math.cos(a), middle * math.sin(a), 0.0), a)
        for a in (math.pi / 4 * i for i in range(8))
    )
    top = Part(
        shapes=core + edges + feet(0.05, 0.05, -TOP_THICKNESS / 2),
        mass=0.5,
        start=Frame((0.56, 0.21, TOP_THICKNESS / 2 + FOOT_HEIGHT)),
        colour=(0.78, 0.66, 0.48),
    )
    leg = Part(
        shapes=(
            *square_peg(LEG_WIDTH, LEG_LENGTH, PEG_RADIUS, tip),
            peg(HUB_PEG_RADIUS, tip=end + HUB_PEG_LENGTH, root=end - HUB_PEG_RADIUS),
        ),
        mass=0.12,
        start=Frame((0.38, -0.03, LEG_WIDTH / 2), (0.0, math.pi / 2, 0.0)),
        colour=(0.35, 0.22, 0.12),
        grasp=LEG_LENGTH / 2 - 0.012,
        lying_grasp=-0.003,
    )
    hub = perforated_plate((HUB_WIDTH, HUB_WIDTH, HUB_HEIGHT), [(0.0, 0.0)], 2 * (HUB_PEG_RADIUS + clearance))
    reach, low = HUB_WIDTH / 2 + ARM_LENGTH / 2, (ARM_HEIGHT - HUB_HEIGHT) / 2
    arms = tuple(
        Box((ARM_LENGTH, ARM_WIDTH, ARM_HEIGHT), (reach * math.cos(a), reach * math.sin(a), low), a)
        for a in (math.pi / 2 * i for i in range(4))
    )
    base = Part(
        shapes=hub + arms + feet(HUB_WIDTH / 2 - 0.006, HUB_WIDTH / 2 - 0.006, -HUB_HEIGHT / 2),
        mass=0.15,
        start=Frame((0.42, -0.3, HUB_HEIGHT / 2 + FOOT_HEIGHT)),
        colour=(0.55, 0.4, 0.25),
        grasp=HUB_HEIGHT / 2 - 0.008,
    )
    return Furniture(
        name="round_table",
        parts={"top": top, "leg": leg, "base": base},
        joints=(
            screw("leg", "top", tip, [(0.0, 0.0, TOP_THICKNESS / 2)]),
            Joint(
                kind="insert",
                part="base",
                onto="leg",
                part_frame=Frame((0.0, 0.0, -HUB_HEIGHT / 2)),
                onto_frames=(Frame((0.0, 0.0, end)),),
                depth=0.0,
                approach=HUB_PEG_LENGTH + 0.02,
            ),
        ),
        clearance=clearance,
    )


ROUND_TABLE = round_table()
