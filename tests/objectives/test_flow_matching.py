# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The flow matching loss vanishes at the true field and is the regression it claims to be."""

import pytest
import torch

from flow_rl.flows import noise_to_velocity, target_to_velocity
from flow_rl.objectives import flow_matching_loss


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(64, 4), torch.randn(64, 4), torch.rand(64, 1) * 0.99


@pytest.mark.parametrize("prediction", ["v", "x", "residual", "eps"])
def test_true_velocity_has_no_loss(batch, prediction):
    """The velocity of each line fits exactly, in both parametrisations."""
    actions, noise, t = batch
    loss = flow_matching_loss(lambda x, t: actions - noise, actions, noise, t, prediction)
    assert float(loss) == pytest.approx(0.0, abs=1e-10)


def test_predictions_measure_their_own_errors(batch):
    """A constant error in the velocity counts as such; one in the predicted action or noise likewise."""
    actions, noise, t = batch
    assert float(flow_matching_loss(lambda x, t: actions - noise + 0.5, actions, noise, t)) == pytest.approx(0.25)
    off = flow_matching_loss(lambda x, t: target_to_velocity(actions + 0.5, x, t), actions, noise, t, "x")
    assert float(off) == pytest.approx(0.25, rel=1e-4)
    t = t.clamp(min=0.01)
    off = flow_matching_loss(lambda x, t: noise_to_velocity(noise + 0.5, x, t), actions, noise, t, "eps")
    assert float(off) == pytest.approx(0.25, rel=1e-4)


def test_only_what_is_counted_counts(batch):
    """Errors of 0.5 where it does and of 7 where it does not."""
    actions, noise, t = batch
    counted = torch.zeros_like(actions, dtype=torch.bool)
    counted[:20], counted[40:, :2] = True, True
    field = actions - noise + torch.where(counted, 0.5, 7.0)
    loss = flow_matching_loss(lambda x, t: field, actions, noise, t, counted=counted)
    assert float(loss) == pytest.approx(0.25)
