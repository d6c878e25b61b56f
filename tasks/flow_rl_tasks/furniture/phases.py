# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Phases of assembling a furniture, and how fast the tool moves in each."""

(
    HOVER,
    DESCEND,
    CLOSE,
    LIFT,
    CARRY,
    ALIGN,
    LOWER,
    RELEASE,
    RETREAT,
    REACH,
    SINK,
    GRIP,
    TURN,
    LOOSEN,
    RISE,
) = range(15)
"""Take the part, bring it to its place, let go; then, for a screw, grip it from above and turn, again and again."""

SPEED = {
    # greatest shift [m] and turn [rad] per control tick
    HOVER: (0.05, 0.2),
    DESCEND: (0.01, 0.1),
    CLOSE: (0.01, 0.1),
    LIFT: (0.02, 0.1),
    CARRY: (0.02, 0.08),
    ALIGN: (0.01, 0.1),
    LOWER: (0.004, 0.1),
    RELEASE: (0.01, 0.1),
    RETREAT: (0.02, 0.2),
    REACH: (0.02, 0.15),
    SINK: (0.01, 0.1),
    GRIP: (0.01, 0.1),
    TURN: (0.02, 0.25),
    LOOSEN: (0.01, 0.1),
    RISE: (0.02, 0.15),
}
