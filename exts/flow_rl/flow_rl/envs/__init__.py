# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments that nobody here made: any of Gymnasium's, without a simulator of Isaac Lab.

``gym:<id>`` stands for one wherever a command takes ``--task`` or ``--env``; ``gym:<package.module>:<id>`` imports the
module that registers it first.
"""
