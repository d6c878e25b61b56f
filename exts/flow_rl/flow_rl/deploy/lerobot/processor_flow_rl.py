# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What LeRobot does to observations before, and to actions after, an exported policy: nothing but a batch's shape."""

from __future__ import annotations

from typing import Any

from lerobot.processor import make_default_pre_post_processors

from .configuration_flow_rl import FlowRLConfig


def make_flow_rl_pre_post_processors(config: FlowRLConfig, dataset_stats: dict[str, Any] | None = None) -> tuple:
    """The two pipelines; statistics are not used, since no feature is normalised."""
    return make_default_pre_post_processors(config, dataset_stats)
