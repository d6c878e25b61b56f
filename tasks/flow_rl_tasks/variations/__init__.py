# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Variations of tasks: seen through cameras, with varied pictures, with physics as uncertain as on a robot."""
