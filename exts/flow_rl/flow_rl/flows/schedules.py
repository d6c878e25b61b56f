# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Schedules over the course of learning, as functions of progress in [0, 1]."""

from __future__ import annotations

import math


def cosine(start: float, end: float, progress: float) -> float:
    """Half cosine from `start` at progress 0 to `end` at progress 1 and beyond."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def hold_then_cosine(start: float, end: float, progress: float, hold: float) -> float:
    """`start` for the first share `hold` of progress, then a half cosine to `end` (ReinFlow's "learn_decay")."""
    return cosine(start, end, (progress - hold) / (1.0 - hold)) if hold < 1.0 else start
