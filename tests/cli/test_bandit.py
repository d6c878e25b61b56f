# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The command that shows RLDT in the plane."""

import pytest
import torch

from flow_rl.cli.bandit import VARIANTS, particles
from flow_rl.testing import bandit


@pytest.mark.parametrize("variant", VARIANTS)
def test_particles_come_with_the_field_of_their_variant(variant, monkeypatch):
    monkeypatch.setattr(bandit, "pretrain", lambda policy: None)
    alg = bandit.make_runner(bandit.configuration(12, **VARIANTS[variant]), seed=0).alg
    shown = particles(alg, alg.actor, num=64, num_arrows=8)
    assert {name: value.shape for name, value in shown.items()} == {
        "ends": (64, 2),
        "particles": (8, 2),
        "field": (8, 2),
    }
    assert all(torch.isfinite(value).all() for value in shown.values())
