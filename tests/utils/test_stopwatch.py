# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Phases are added up until they are read; on a GPU nothing waits before."""

import time

import pytest
import torch

from flow_rl.utils.stopwatch import Stopwatch


def test_phases_add_up_until_they_are_read():
    watch = Stopwatch("cpu")
    for _ in range(2):
        with watch.phase("sleep"):
            time.sleep(0.02)
    with watch.phase("nothing"):
        pass
    seconds = watch.read()
    assert 0.04 <= seconds["seconds_sleep"] < 1.0 and seconds["seconds_nothing"] < 0.02
    assert watch.read() == {}


@pytest.mark.gpu
def test_a_gpus_work_is_measured_without_waiting_for_it():
    watch = Stopwatch("cuda:0")
    matrix = torch.randn(4096, 4096, device="cuda:0")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with watch.phase("products"):
            for _ in range(50):
                matrix = matrix @ matrix
                matrix = matrix / matrix.norm()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert watch.read()["seconds_products"] > 1e-3
