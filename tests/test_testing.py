# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The importable checks pass for every learner of ours, and notice what is broken."""

from __future__ import annotations

import pytest
import torch

from flow_rl.configs import learners
from flow_rl.testing import check_learner

FROM_PIXELS = [(learner, True) for learner in sorted(learners())]
FROM_STATE = [("score_flow", False), ("rldt", False)]  # test_learners.py asks the same of all of them


@pytest.mark.parametrize(("learner", "pixels"), FROM_STATE + FROM_PIXELS)
def test_every_learner_passes(learner, pixels, tmp_path):
    torch.set_num_threads(1)
    check_learner(learner, tmp_path, pixels=pixels)


def test_a_learner_that_does_not_learn_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("flow_rl.algorithms.optimizer.GroupedAdamW.step", lambda self: None)
    with pytest.raises(AssertionError, match="two updates leave the policy as it was"):
        check_learner("rldt", tmp_path)


def test_a_learner_that_forgets_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("flow_rl.algorithms.base.set_rng_state", lambda state: None)
    with pytest.raises(AssertionError, match="a resumed run differs from an undisturbed one in"):
        check_learner("score_flow", tmp_path)


def test_an_unknown_learner_is_named(tmp_path):
    with pytest.raises(AssertionError, match="no learner is named 'sac'"):
        check_learner("sac", tmp_path)
