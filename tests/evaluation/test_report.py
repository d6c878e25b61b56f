# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The learning curve and the report say what the run measured."""

import base64
import os

import pytest
from torch.utils.tensorboard import SummaryWriter

from flow_rl.evaluation.report import plot_learning_curve, read_scalar, write_report


def _evaluation(success: float) -> dict:
    return {
        "success": success,
        "ci95": [success - 0.05, success + 0.05],
        "episodes": 256,
        "mean_episode_length": 41.0,
        "sampling": "random_noise_ode",
        "seed": 7,
    }


@pytest.fixture
def summary() -> dict:
    return {
        "task": "FlowRL-Lift-Franka",
        "learner": "score_flow",
        "seed": 3,
        "smoke": False,
        "pretrained": _evaluation(0.5),
        "finetuned": _evaluation(0.875),
        "checkpoints": {"pretrained": "a.pt", "finetuned": "b.pt"},
        "phases": {"collect": {"seconds": 12.0, "command": "./flow_rl.sh -p <collect>"}},
        "env_steps": 123456,
        "env_steps_per_iteration": 1024,
        "versions": {"torch": "2"},
        "date": "2026-01-01",
        "hardware": "CPU",
    }


def test_resumed_runs_join_into_one_curve(tmp_path):
    """A scalar written by two runs is read as one series, the later run replacing what it repeats."""
    for run, values in (("first", {0: 0.1, 1: 0.2}), ("second", {1: 0.3, 2: 0.4})):
        with SummaryWriter(tmp_path / run) as writer:
            for step, value in values.items():
                writer.add_scalar("Metrics/success_rate", value, step)
    steps, values = read_scalar(tmp_path, "Metrics/success_rate")
    assert steps == [0, 1, 2]
    assert values == pytest.approx([0.1, 0.3, 0.4])
    assert read_scalar(tmp_path, "missing") == ([], [])


def test_a_curve_is_sorted_where_the_later_file_holds_earlier_steps(tmp_path):
    for run, steps in (("a", (3, 4)), ("b", (0, 1))):
        with SummaryWriter(tmp_path / run) as writer:
            for step in steps:
                writer.add_scalar("loss", float(step), step)
        for path in (tmp_path / run).iterdir():
            os.utime(path, (0, ord(run)))
    assert read_scalar(tmp_path, "loss") == ([0, 1, 3, 4], [0.0, 1.0, 3.0, 4.0])


def test_report_embeds_everything_and_escapes(tmp_path, summary):
    """The page holds films and curve itself, names both results, and shows commands literally."""
    for name in ("before.mp4", "after.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    plot_learning_curve(summary, ([0, 1], [0.4, 0.9]), tmp_path / "learning_curve.png")
    page = write_report(summary, tmp_path).read_text()
    assert base64.b64encode(b"after.mp4").decode() in page
    assert "data:image/png;base64,iVBOR" in page
    assert "50.0%" in page and "87.5%" in page and "123,456" in page
    assert "&lt;collect&gt;" in page and "<collect>" not in page
    assert "smoke run" not in page
    assert "smoke run" in write_report(summary | {"smoke": True}, tmp_path).read_text()
