# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Mechanisms that cannot be built are refused with the reason."""

import pytest

from flow_rl_assets.mechanism import Link
from flow_rl_assets.shapes import Box

GOOD = {
    "joint": "hinge",
    "axis": "Z",
    "pos": (0.0, 0.0, 0.0),
    "limits": (-1.0, 0.0),
    "shapes": (Box((0.1, 0.1, 0.1)),),
    "mass": 1.0,
    "colour": (0.5, 0.5, 0.5),
    "friction": 0.1,
    "damping": 0.1,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint": "ball"}, "joint='ball'.*'hinge', 'slide'"),
        ({"axis": "W"}, "axis='W'.*'X', 'Y', 'Z'"),
        ({"limits": (0.1, 1.0)}, r"limits=\(0.1, 1.0\).*low <= 0 <= high"),
        ({"limits": (0.0, 0.0)}, r"limits=\(0.0, 0.0\)"),
        ({"detents": (0.0, 0.5)}, r"detents=\(0.0, 0.5\): \[0.5\].*move them"),
    ],
)
def test_links_that_cannot_be_built_are_refused(change, message):
    Link(**GOOD)
    with pytest.raises(ValueError, match=message):
        Link(**GOOD | change)
