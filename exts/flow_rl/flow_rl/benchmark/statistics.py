# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Statistics over tasks and seeds, as Agarwal et al. define them (arXiv 2108.13264), with bootstrap intervals.

Their library, rliable, needs a release of arch that fails to import beside the present pandas; so these are NumPy's and
SciPy's means of the same definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, trim_mean

Scores = Sequence[np.ndarray]
"""Scores of a learner: for each task one array with a value per seed."""


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: Scores) -> float:
    """Mean of the middle half of all scores, over tasks and seeds."""
    return float(trim_mean(np.concatenate([np.asarray(task, dtype=float) for task in scores]), 0.25))


def probability_of_improvement(scores: Scores, others: Scores) -> float:
    """Probability that a run of the first is better than one of the others, ties counted half, averaged over tasks.

    Within a task it is the Mann-Whitney statistic divided by the number of pairs.
    """
    chances = []
    for mine, other in zip(scores, others, strict=True):
        difference = np.asarray(mine, dtype=float)[:, None] - np.asarray(other, dtype=float)[None]
        chances.append(np.mean((difference > 0) + 0.5 * (difference == 0)))
    return float(np.mean(chances))


def bootstrap(
    statistic: Callable[..., float], *scores: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """A statistic with its percentile interval, seeds drawn anew within each task (stratified bootstrap)."""
    rng = np.random.default_rng(seed)
    values = [statistic(*([rng.choice(task, len(task)) for task in each] for each in scores)) for _ in range(resamples)]
    edge = 50 * (1 - confidence)
    low, high = np.percentile(values, [edge, 100 - edge])
    return Estimate(statistic(*scores), float(low), float(high))


def mean_success(
    successes: Sequence[int], trials: Sequence[int], confidence: float = 0.95, resamples: int = 4000, seed: int = 0
) -> Estimate:
    """Mean success of several seeds; the interval knows that seeds differ and that episodes are counted.

    Seeds are drawn anew, then the success of each from the posterior of its counts (Jeffreys' prior), so that three
    seeds that agree are not certain.
    """
    counts, totals = np.asarray(successes), np.asarray(trials)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(counts), size=(resamples, len(counts)))
    rates = rng.beta(counts[chosen] + 0.5, totals[chosen] - counts[chosen] + 0.5)
    edge = 50 * (1 - confidence)
    low, high = np.percentile(rates.mean(axis=1), [edge, 100 - edge])
    value = float(np.mean(counts / totals))
    return Estimate(value, min(float(low), value), max(float(high), value))


def area_under_curve(steps: Sequence[float], success: Sequence[float], end: float) -> float:
    """Mean success from step 0 to a last one, on straight lines between evaluations; the ends continue level."""
    inner = [step for step in steps if 0 < step < end]
    grid = np.array([0.0, *inner, end])
    return float(np.trapezoid(np.interp(grid, steps, success), grid) / end)


def steps_to(steps: Sequence[float], success: Sequence[float], threshold: float) -> float:
    """First step at which success reaches a threshold, on straight lines between evaluations; infinite if never."""
    for index, value in enumerate(success):
        if value >= threshold:
            if index == 0:
                return float(steps[0])
            before = success[index - 1]
            share = (threshold - before) / (value - before)
            return float(steps[index - 1] + share * (steps[index] - steps[index - 1]))
    return float("inf")


class Paired(NamedTuple):
    """Two policies on episodes of which the first in each environment begin alike."""

    first: int
    """Episodes that only the first solves."""
    second: int
    """Episodes that only the second solves."""
    p_value: float
    """Probability of so unequal numbers if the policies were equally good (McNemar's exact test)."""


def paired(outcomes: Sequence[str], others: Sequence[str]) -> Paired:
    """Compare policies episode by episode, a digit each; a string for each seed.

    Raises:
        ValueError: If the numbers of episodes differ.
    """
    pairs = [pair for mine, other in zip(outcomes, others, strict=True) for pair in zip(mine, other, strict=True)]
    first, second = pairs.count(("1", "0")), pairs.count(("0", "1"))
    return Paired(first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0)
