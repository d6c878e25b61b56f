# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Small helpers: checks, checkpoints, plugins, random states."""
