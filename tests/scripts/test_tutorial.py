# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The tutorial learns, and draws what it says."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import run_python

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_tutorial_learns_and_draws(tmp_path):
    run = run_python(ROOT / "scripts/tutorial.py", "--output", "here", cwd=tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    numbers = json.loads((tmp_path / "here/tutorial.json").read_text())
    before, after = numbers["pretrained"], numbers["fine-tuned"]
    assert before["success"] < 0.9 and after["success"] > before["success"] + 0.1
    assert after["decisions"] < before["decisions"]
    assert "pretrained: " in run.stdout and "fine-tuned: " in run.stdout
    picture = cv2.imread(str(tmp_path / "here/tutorial.png"))
    red = (picture[..., 2].astype(int) - picture[..., :2].max(axis=-1)) > 60
    middle = red[:, picture.shape[1] // 3 : 2 * picture.shape[1] // 3]
    assert np.count_nonzero(middle) > 500, "particles and field are drawn"
