# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Trainings that a scheduler stops, and that go on where they were: signals, folders, curves and the runner."""
