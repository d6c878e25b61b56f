# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The command line: a module for each command of ``flow-rl``, and what they share."""
