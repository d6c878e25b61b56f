# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Judging policies: who acts, what became of the episodes, with intervals, films and reports."""
