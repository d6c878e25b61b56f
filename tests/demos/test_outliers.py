# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Outliers are found where they are, and percentiles leave what they should."""

import numpy as np
import pytest

from flow_rl.demos.outliers import describe_outliers, find_outliers, within_percentiles


@pytest.fixture
def values() -> np.ndarray:
    """A thousand normal numbers, a gripper that opens twice, a constant and a NaN."""
    rng = np.random.default_rng(0)
    columns = np.stack([rng.normal(size=1000), np.zeros(1000), np.full(1000, 3.0)], axis=1)
    columns[[20, 500], 1] = 1.0
    return columns


def test_only_what_is_far_is_an_outlier(values):
    assert not find_outliers(values).any()
    values[7, 0], values[8, 0], values[9, 0] = 1e6, np.nan, -1e6
    assert np.argwhere(find_outliers(values)).tolist() == [[7, 0], [9, 0]]


def test_places_are_named_by_episode_and_step(values):
    values[7, 0], values[407, 0] = 1e6, -2e6
    text = describe_outliers("actions", values, ["demo_0", "demo_5"], [400, 600])
    assert text.startswith("actions has 2 values")
    assert "demo_0 step 7 [0] = 1e+06; demo_5 step 7 [0] = -2e+06" in text and "normalization=quantile" in text


def test_percentiles_clip_each_column_and_leave_those_that_would_vanish(values):
    values[7, 0] = 1e6
    clipped = within_percentiles(values.astype(np.float32))
    assert clipped.dtype == np.float32
    assert abs(clipped[:, 0].max() - np.percentile(values[:, 0], 99)) < 1e-5
    inside = (values[:, 0] > clipped[:, 0].min()) & (values[:, 0] < clipped[:, 0].max())
    assert inside.sum() == 980
    np.testing.assert_array_equal(clipped[inside], values[inside].astype(np.float32))
    np.testing.assert_array_equal(clipped[:, 1:], values[:, 1:])
