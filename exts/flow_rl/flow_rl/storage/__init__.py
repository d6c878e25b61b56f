# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What learners keep between updates: rollouts, replayed chunks, scales of rewards."""
