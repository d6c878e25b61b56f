# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An anchor acts as the policy that it was taken from, whatever becomes of that policy."""

import pytest
import torch
from tensordict import TensorDict

from flow_rl.models import Anchor, FlowPolicy
from flow_rl.testing.learners import ENCODER

B, D = 6, 4


@pytest.fixture
def obs():
    pictures = torch.randint(0, 256, (B, 3, 16, 16), dtype=torch.uint8)
    return TensorDict({"policy": torch.randn(B, 2), "front": pictures}, batch_size=[B])


@pytest.fixture
def policy(obs):
    torch.manual_seed(0)
    groups = {"actor": ["policy", "front"]}
    return FlowPolicy(obs, groups, "actor", D, horizon=2, hidden_dims=[32, 32], encoder=ENCODER)


def move(policy) -> None:
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        policy.set_score_coefs([0.4, 0.3, 0.2, 0.1])


def played(policy, obs) -> torch.Tensor:
    return policy.sample(policy.get_latent(obs), torch.ones(B, D))


def test_it_stays_and_follows_when_asked(policy, obs):
    """Encoder and score drift included: pictures are seen with its own eyes."""
    anchor, before = Anchor(policy), played(policy, obs)
    move(policy)
    assert torch.equal(played(anchor, obs), before)
    assert not torch.equal(anchor.get_latent(obs), policy.get_latent(obs))
    anchor.follow(policy)
    assert torch.equal(played(anchor, obs), played(policy, obs))
    x, t, latent = torch.randn(B, D), torch.full((B, 1), 0.5), policy.get_latent(obs)
    assert torch.equal(anchor.drift(x, t, latent), policy.drift(x, t, latent))


def test_gradients_pass_through_but_do_not_stay(policy, obs):
    """What is built upon it can learn; it cannot."""
    anchor = Anchor(policy)
    noise = torch.randn(B, D, requires_grad=True)
    anchor.sample(anchor.get_latent(obs), noise).sum().backward()
    assert noise.grad.abs().sum() > 0
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in anchor.parameters())
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize("prefix", ["", "base.", "policy."])
def test_checkpoints_from_before_it_still_load(policy, obs, prefix):
    """RLDT's reference was a bare policy, that of the pull towards the pretrained policy lay below `base`."""
    anchor, before = Anchor(policy), played(policy, obs)
    state = {prefix + key: value.clone() for key, value in policy.state_dict().items()}
    move(anchor.policy)
    anchor.load_state_dict(anchor.adapt(state))
    assert torch.equal(played(anchor, obs), before)
