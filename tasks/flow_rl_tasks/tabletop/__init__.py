# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks at a table, the analogues of Robomimic's; each folder is one."""

from . import can, lift, square, transport  # noqa: F401
