# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Statistics over tasks and seeds against what can be worked out by hand."""

import math

import numpy as np
import pytest

from flow_rl.benchmark.statistics import (
    area_under_curve,
    bootstrap,
    interquartile_mean,
    mean_success,
    paired,
    probability_of_improvement,
    steps_to,
)


def test_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert interquartile_mean([np.array([0.0, 0.2]), np.array([0.4, 1.0])]) == pytest.approx(0.3)
    assert interquartile_mean([np.array([0.5])]) == 0.5


def test_probability_of_improvement_counts_pairs():
    """Task 1: 3 of 4 pairs are better; task 2: one tie counts half."""
    mine, others = [np.array([0.5, 0.9]), np.array([0.3])], [np.array([0.4, 0.6]), np.array([0.3])]
    assert probability_of_improvement(mine, others) == pytest.approx((0.75 + 0.5) / 2)
    assert probability_of_improvement(others, mine) == pytest.approx(1 - (0.75 + 0.5) / 2)


def test_the_bootstrap_covers_the_truth():
    """Of 200 samples of 20 normal scores, the 95 % interval of the mean holds the true mean in 90 to 99 %."""
    rng = np.random.default_rng(0)

    def mean(scores):
        return float(np.mean(scores))

    estimates = [bootstrap(mean, [rng.normal(0.5, 0.1, 20)], resamples=400) for _ in range(200)]
    covered = np.mean([each.low <= 0.5 <= each.high for each in estimates])
    assert 0.88 <= covered <= 0.99


def test_strata_stay_apart():
    """Tasks of different difficulty do not widen the interval: seeds are drawn within them."""
    scores = [np.full(3, 0.1), np.full(3, 0.9)]
    assert bootstrap(lambda each: float(np.mean(each)), scores)[:] == pytest.approx((0.5, 0.5, 0.5))


def test_mean_success_knows_of_episodes_and_of_seeds():
    value, low, high = mean_success([200, 200, 200], [256] * 3)
    assert value == pytest.approx(200 / 256) and 0.01 < high - low < 0.1, "equal seeds are still counted episodes"
    wider = mean_success([120, 200, 250], [256] * 3)
    assert wider.high - wider.low > 2 * (high - low)
    one = mean_success([256], [256])
    assert one.value == one.high == 1.0 and one.low < 0.995


def test_area_under_curve():
    assert area_under_curve([0, 10, 20], [0.0, 1.0, 1.0], 20) == pytest.approx(0.75)
    assert area_under_curve([0, 10, 20], [0.0, 1.0, 0.0], 10) == pytest.approx(0.5), "what comes later does not count"
    assert area_under_curve([5], [0.4], 10) == pytest.approx(0.4)


def test_steps_to_a_threshold():
    assert steps_to([0, 10, 20], [0.2, 0.4, 0.8], 0.6) == pytest.approx(15)
    assert steps_to([0, 10], [0.7, 0.4], 0.6) == 0.0
    assert math.isinf(steps_to([0, 10], [0.1, 0.2], 0.6))


def test_paired_policies_are_compared_by_what_only_one_solves():
    """McNemar's exact test: 2 of 10 discordant pairs have p = 2 * (1 + 10 + 45) / 2 ** 10."""
    found = paired(["1100000000", "1"], ["0011111111", "1"])
    assert found[:2] == (2, 8) and found.p_value == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert paired(["0101"], ["0101"]) == (0, 0, 1.0)
    with pytest.raises(ValueError):
        paired(["01"], ["011"])
