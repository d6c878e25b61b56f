# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""When chunks are made, and how much they are bound to the former ones."""

import numpy as np
import pytest

from flow_rl.deploy.chunking import Chunking


def test_the_mask_holds_what_is_certain_and_decays_over_what_was_intended():
    weights = Chunking(horizon=8, execute=3, delay=2, method="rtc").weights()
    share = np.array([3.0, 2.0, 1.0]) / 4
    soft = share * (np.exp(share) - 1) / (np.e - 1)
    np.testing.assert_allclose(weights, [1, 1, *soft, 0, 0, 0], atol=1e-7)


def test_as_much_is_executed_as_there_is():
    assert Chunking(8, delay=3).execute == 5 and Chunking(8, delay=3, method="rtc").joins
    np.testing.assert_array_equal(Chunking(8, delay=3).weights(), [1, 1, 1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("method", ["naive", "inpainting", "rtc"])
def test_without_delay_and_overlap_nothing_is_bound(method):
    chunking = Chunking(4, method=method)
    assert chunking.execute == 4 and not chunking.joins and not chunking.weights().any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delay": 3}, r"inference_delay = 3 .*0 to 2 control steps.*train longer chunks"),
        ({"delay": -1}, "inference_delay = -1"),
        ({"delay": 2, "execute": 1}, "execute = 1 .*2 to 2, of chunks of 4 that take 2"),
        ({"delay": 1, "execute": 4}, "execute = 4 .*1 to 3"),
        ({"method": "wait"}, "chunking = 'wait' .*'naive', 'inpainting', 'rtc'"),
    ],
)
def test_what_would_leave_the_robot_without_actions_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Chunking(4, **fields)
