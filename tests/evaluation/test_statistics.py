# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Intervals agree with published values and behave at the borders."""

import pytest

from flow_rl.evaluation.statistics import difference_interval, wilson_interval


def test_agrees_with_newcombe_1998():
    """Newcombe (1998), Table I, method 3 (score interval without continuity correction)."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_is_symmetric_under_swapping_success_and_failure():
    low, high = wilson_interval(30, 100)
    assert wilson_interval(70, 100) == pytest.approx((1 - high, 1 - low))


def test_contains_the_rate_in_spite_of_rounding():
    for trials in range(1, 600):
        for successes in (0, trials):
            low, high = wilson_interval(successes, trials)
            assert 0.0 <= low <= successes / trials <= high <= 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (5, 4), (-1, 3)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match=f"successes={successes}"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(
    ("counts", "interval"),
    [((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((10, 10, 0, 10), (0.6075, 1.0))],
)
def test_differences_agree_with_newcombe_1998(counts, interval):
    """Newcombe (1998), interval estimation for the difference between independent proportions, Table II, method 10."""
    assert difference_interval(*counts) == pytest.approx(interval, abs=5e-5)
    low, high = difference_interval(*counts[2:], *counts[:2])
    assert (-high, -low) == pytest.approx(interval, abs=5e-5)
