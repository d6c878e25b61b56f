# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of chunked actions."""

from dataclasses import MISSING

from isaaclab.managers import ActionTermCfg
from isaaclab.utils import configclass


@configclass
class ChunkActionCfg(ActionTermCfg):
    """Execute a chunk of actions, one after the other, within one environment step."""

    class_type = "{DIR}.actions:ChunkAction"

    horizon: int = 4
    """Number of actions in a chunk (H); the decimation of the environment must be a multiple of it."""

    terms: object = MISSING
    """Stock action terms that make up one action of the chunk, in order: a configclass of :class:`ActionTermCfg`."""

    limit: float | None = 1.0
    """Raw actions are clamped to [-limit, limit]; None leaves them alone."""
