# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rules that hold for the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.hookimpl(tryfirst=True)  # before marks select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit tests, which are all others, and skip what needs a GPU where there is none.

    Files that take long come first: workers that take them last would wait for each other.
    """
    weights: dict[Path, int] = {}
    for item in items:
        if not any(item.get_closest_marker(name) for name in ("sim", "slow", "gpu")):
            item.add_marker("unit")
        weight = sum(item.get_closest_marker(name) is not None for name in ("sim", "slow"))
        weights[item.path] = max(weights.get(item.path, 0), weight)
    items.sort(key=lambda item: -weights[item.path])
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def wandb_folder(tmp_path, monkeypatch):
    """Folder that receives the offline wandb runs of this test, whatever an earlier test of its process has set up."""
    import wandb

    for name in ("WANDB_ENTITY", "WANDB_USERNAME", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_RUN_ID", "")  # announce_new_run sets it behind monkeypatch's back
    monkeypatch.delenv("WANDB_RUN_ID")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    wandb.teardown()  # wandb reads its settings once per process and would keep an earlier test's folder
    yield tmp_path / "wandb"
    wandb.teardown()
