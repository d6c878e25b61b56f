# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Suites of runs that can be repeated, their records, and tables and curves made from these."""
