# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What an evaluation says in one number, with and without success."""

import pytest

from flow_rl.evaluation.score import interval, lies_below, score, told
from flow_rl.evaluation.statistics import mean_interval


def solved(share, episodes=100):
    return {"success": share, "ci95": [share - 0.1, share + 0.1], "episodes": episodes, "mean_return": 3.0}


def paid(mean, deviation, episodes=100):
    ends = list(mean_interval(mean, deviation, episodes))
    return {"success": None, "episodes": episodes, "mean_return": mean, "return_std": deviation, "return_ci95": ends}


def test_success_comes_first_and_returns_stand_in():
    assert score(solved(0.5)) == 0.5 and told(solved(0.5)) == "50.0% [40.0%, 60.0%] of 100"
    result = paid(2000.0, 100.0)
    assert score(result) == 2000.0 and told(result) == "return 2,000.0 [1,980.2, 2,019.8] of 100"
    assert interval(result) == pytest.approx((2000 - 19.842, 2000 + 19.842), abs=1e-3)  # t of 99 degrees: 1.98422


def test_a_single_episode_tells_no_spread():
    low, high = mean_interval(1.0, 0.0, 1)
    assert low == -float("inf") and high == float("inf")


@pytest.mark.parametrize(
    ("result", "other", "below"),
    [
        (solved(0.5), solved(0.9), True),
        (solved(0.85), solved(0.9), False),
        (solved(0.95), solved(0.5), False),
        (paid(1900.0, 100.0), paid(2000.0, 100.0), True),
        (paid(1980.0, 100.0), paid(2000.0, 100.0), False),  # less than 1.98 times 100 * sqrt(2 / 100)
        (paid(1980.0, 10.0), paid(2000.0, 10.0), True),
    ],
)
def test_a_fall_is_more_than_chance(result, other, below):
    assert lies_below(result, other) is below
