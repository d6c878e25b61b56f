# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""One run on several processes (ranks): their launcher, what they exchange, and who writes."""
