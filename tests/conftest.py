# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rules that hold for the whole suite."""

from __future__ import annotations

import pytest
import torch


@pytest.hookimpl(tryfirst=True)  # before marks select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit tests, which are all others, and skip what needs a GPU where there is none."""
    for item in items:
        if not any(item.get_closest_marker(name) for name in ("sim", "slow", "gpu")):
            item.add_marker("unit")
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
