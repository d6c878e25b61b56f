# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Curves of training runs come from their logs and settings."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts/plot_curves.py"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run of three iterations: 5 decisions of 4 actions in 2 environments, 3 seconds each."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "agent.yaml").write_text("num_steps_per_env: 5\nactor:\n  horizon: 4\n")
    (tmp_path / "params" / "env.yaml").write_text("scene:\n  num_envs: 2\n")
    with SummaryWriter(str(tmp_path)) as writer:
        for iteration, success in enumerate((0.2, 0.4, 0.9)):
            writer.add_scalar("Metrics/success_rate", success, iteration)
            writer.add_scalar("Perf/collection_time", 1.0, iteration)
            writer.add_scalar("Perf/learning_time", 2.0, iteration)
    return tmp_path


def test_curve(folder):
    """Control steps and seconds add up, and success is averaged over the asked number of iterations."""
    steps, seconds, success = SCRIPT["curve"](folder, 2)
    assert steps.tolist() == [40, 80, 120]
    torch.testing.assert_close(seconds, torch.tensor([3.0, 6.0, 9.0]))
    torch.testing.assert_close(success, torch.tensor([0.2, 0.3, 0.65]))


def test_picture_and_wrong_folder(folder, tmp_path, monkeypatch):
    """A picture is written; a folder that is no run is named and nothing is written."""
    picture = tmp_path / "curves.png"
    monkeypatch.setattr(sys, "argv", ["plot_curves", "--run", "one=nowhere", "--output", str(picture)])
    with pytest.raises(SystemExit, match="'one=nowhere' is not LABEL=FOLDER"):
        SCRIPT["main"]()
    assert not picture.exists()
    monkeypatch.setattr(sys, "argv", ["plot_curves", "--run", f"one={folder}", "--output", str(picture)])
    SCRIPT["main"]()
    assert picture.stat().st_size > 5000
