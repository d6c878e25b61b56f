# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What an evaluation says in one number: success, or the mean return where an environment does not know success."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .statistics import difference_interval, mean_interval

Result = Mapping[str, Any]
"""What :func:`flow_rl.evaluation.episodes.evaluate` returns, or what is noted of it."""


def measures_success(result: Result) -> bool:
    """Whether the environment knows success."""
    return result["success"] is not None


def score(result: Result) -> float:
    """Success rate, or mean return."""
    return result["success"] if measures_success(result) else result["mean_return"]


def interval(result: Result) -> tuple[float, float]:
    """The 95 % interval of the score."""
    return tuple(result["ci95"] if measures_success(result) else result["return_ci95"])


def shown(value: float, result: Result) -> str:
    """A score as people read it: a percentage, or a number."""
    return f"{value:.1%}" if measures_success(result) else f"{value:,.1f}"


def told(result: Result) -> str:
    """The score of a result with its interval and the number of episodes."""
    ends = ", ".join(shown(end, result) for end in interval(result))
    name = "" if measures_success(result) else "return "
    return f"{name}{shown(score(result), result)} [{ends}] of {result['episodes']}"


def lies_below(result: Result, other: Result) -> bool:
    """Whether a result is significantly below another: the 95 % interval of the difference lies below zero."""
    if measures_success(result):
        counts = (count for each in (result, other) for count in (_successes(each), each["episodes"]))
        return difference_interval(*counts)[1] < 0.0
    half = math.hypot(*(_half(each) for each in (result, other)))
    return score(result) - score(other) + half < 0.0


def _successes(result: Result) -> int:
    return round(result["success"] * result["episodes"])


def _half(result: Result) -> float:
    low, high = mean_interval(result["mean_return"], result["return_std"], result["episodes"])
    return 0.5 * (high - low)
