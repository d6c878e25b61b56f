# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What all tasks share: environment, registration, scene, contract of observations, recorders, scripted experts."""
