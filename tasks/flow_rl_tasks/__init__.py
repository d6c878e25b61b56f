# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks of flow_rl, found by Isaac Lab through the entry-point group ``isaaclab.tasks``.

Each family registers its tasks when it is imported, from strings only: no simulator is loaded.
"""

import flow_rl  # noqa: F401 - checkpoints execute nothing from here on

from . import furniture, kitchen, tabletop  # noqa: F401
