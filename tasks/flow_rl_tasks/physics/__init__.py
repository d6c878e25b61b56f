# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Physics engines for coarse control ticks: one simulation step is one control tick, substeps live in the engine.

Configurations are in :mod:`flow_rl_tasks.physics.physics_cfg`; the managers are loaded when a simulation starts. The
names of the managers must start with ``Newton`` or ``OvPhysx``: by these Isaac Lab chooses the classes of assets.
"""
