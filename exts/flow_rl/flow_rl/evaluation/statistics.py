# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Statistics for reporting success rates and returns."""

from __future__ import annotations

import math
from statistics import NormalDist

from scipy.special import stdtrit


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a success probability (Wilson 1927, JASA 22).

    Unlike the normal approximation it stays inside [0, 1] and keeps a positive width at 0 % and 100 %.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"successes={successes} of trials={trials}: valid is 0 <= successes <= trials and trials >= 1."
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # rounding must not leave the rate itself outside, as it would at 0 % and 100 %
    return max(0.0, min(rate, (centre - half) / scale)), min(1.0, max(rate, (centre + half) / scale))


def mean_interval(mean: float, deviation: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean, given the sample's deviation; a single value tells no spread."""
    if count < 2:
        return -math.inf, math.inf
    # the quantile of Student's t; scipy.stats has it too, and takes a second or two to import
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * deviation / math.sqrt(count)
    return mean - half, mean + half


def difference_interval(
    successes: int, trials: int, other_successes: int, other_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a success probability minus another one, from independent trials.

    Newcombe's hybrid of Wilson's intervals (Newcombe 1998, Statistics in Medicine 17, method 10).
    """
    low, high = wilson_interval(successes, trials, confidence)
    other_low, other_high = wilson_interval(other_successes, other_trials, confidence)
    rate, other = successes / trials, other_successes / other_trials
    below = math.hypot(rate - low, other_high - other)
    above = math.hypot(high - rate, other - other_low)
    return rate - other - below, rate - other + above
