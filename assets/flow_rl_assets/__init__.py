# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Robots of flow_rl, built on this machine from files that pip packages carry: nothing is downloaded at run time."""
