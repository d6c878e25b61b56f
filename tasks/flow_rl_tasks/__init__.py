# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks of flow_rl, found by Isaac Lab through the entry-point group ``isaaclab.tasks``.

Each folder registers its task when it is imported, from strings only: no simulator is loaded.
"""

from . import can, kitchen, lamp, lift, one_leg, round_table, square, transport  # noqa: F401
