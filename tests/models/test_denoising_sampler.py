# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy that denoises is a policy like any other: it ends where it should, is rebuilt, and may freeze steps."""

import pytest
import torch

from flow_rl.flows import gaussian_velocity
from flow_rl.models import FlowPolicy, check_compatible
from flow_rl.models.denoising_sampler import DenoisingSampler
from flow_rl.models.sampler import SamplerSettings
from tests.models.test_flow_policy import IMAGES, OBS, A, H, make, observe

MEAN, STD = 0.1, 0.2


class GaussianField(torch.nn.Module):
    """Velocity of independent normal actions."""

    prediction = "v"

    def forward(self, x, t, latent):
        mean, std = torch.full_like(x[..., :1], MEAN), torch.full_like(x[..., :1], STD)
        return gaussian_velocity(x, t, mean, std)[0]


def denoising(**sampler):
    return make(sampler={"kind": "denoising", **sampler}, num_flow_steps=4)


@pytest.mark.parametrize("steps", [5, 100])
def test_normal_actions_come_out(steps):
    """Each step shrinks distances from the mean by 1 + (t' - t) c(t); many steps end with the actions' deviation."""
    sampler = DenoisingSampler(GaussianField(), steps, None, 10.0, SamplerSettings("denoising"))
    noise = torch.randn(2000, 3)
    t, gain = sampler.times(), 1.0 / sampler.step_levels[0].sum()
    offset = -t[0] * MEAN  # of the first state from the mean t m, where there is no noise
    for now, later in zip(t, [*t[1:], torch.ones(1)], strict=True):
        c = (now * STD**2 - (1 - now)) / ((now * STD) ** 2 + (1 - now) ** 2)
        gain, offset = gain * (1 + (later - now) * c), offset * (1 + (later - now) * c)
    end = sampler.states(torch.zeros(2000, 0), noise)[-1]
    torch.testing.assert_close(end, MEAN + offset + gain * noise, atol=1e-5, rtol=1e-4)
    if steps == 100:
        assert gain.item() == pytest.approx(STD, rel=0.05) and abs(offset.item()) < 0.01


def test_stochastic_steps_have_the_mean_of_steps_without_noise():
    """Where a step leads to level 0 it has no deviation, and the chunk pointed at for its mean."""
    policy, latent, x = denoising(), torch.randn(7, OBS), torch.randn(7, 4, H * A)
    mean, std = policy.sampler.transitions(x, latent.unsqueeze(1), 0, 4)
    assert mean.shape == x.shape and std.shape == (4, 1) and std[-1] == 0.0 and (std[:-1] > 0).all()
    for i in range(4):
        one, _ = policy.sampler.transitions(x[:, i : i + 1], latent.unsqueeze(1), i, i + 1)
        torch.testing.assert_close(one.squeeze(1), mean[:, i], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mean[:, -1], policy.sampler.step(x[:, -1], latent, 3, 4), atol=1e-5, rtol=1e-5)


def test_states_are_a_walk_along_the_drift():
    """On the straight path, from the time at which the first level has its ratio of noise."""
    policy, latent, noise = denoising(), torch.randn(7, OBS), torch.randn(7, H * A)
    states, t = policy.flow(latent, noise), policy.step_times
    for i, later in enumerate([*t[1:], torch.ones(1)]):
        step = (later - t[i]) * policy.drift(states[i], t[i].expand(7, 1), latent)
        torch.testing.assert_close(states[i + 1], states[i] + step, atol=1e-5, rtol=1e-4)
    assert torch.equal(policy.sampler(latent, noise), policy.sample(latent, noise))
    assert policy.flow(latent, noise, 7).shape[0] == 8


def test_the_backbone_predicts_the_noise():
    """A backbone that answers with zeros says: all is chunk, at every level."""
    policy, latent = denoising(), torch.randn(7, OBS)
    for parameter in policy.velocity.backbone.parameters():
        torch.nn.init.zeros_(parameter)
    x = 0.01 * torch.randn(7, H * A)
    for k in (1, 26, 76):
        level = policy.sampler.levels[k]
        torch.testing.assert_close(policy.sampler.end(x, level, latent, frozen=False), x / level[0])


def test_steps_are_frozen_as_they_were_pretrained():
    """A state that has no frozen steps gives its own; afterwards only the others follow what is learnt."""
    pretrained, policy = denoising(), denoising(frozen_steps=2)
    check_compatible({"policy": pretrained.settings}, policy.settings)
    policy.load_state_dict(pretrained.state_dict())
    latent, noise = pretrained.get_latent(observe()), torch.randn(7, H * A)
    before = pretrained.flow(latent, noise)
    assert torch.equal(policy.flow(latent, noise), before)
    assert not any(parameter.requires_grad for parameter in policy.sampler.frozen.parameters())
    with torch.no_grad():
        for parameter in policy.velocity.parameters():
            parameter.add_(0.05)
    after = policy.flow(latent, noise)
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, False, True, True]
    assert torch.equal(policy.sampler(latent, noise), policy.sample(latent, noise))
    assert torch.equal(policy.flow(latent, noise, 8)[4], pretrained.flow(latent, noise, 8)[4])
    again = FlowPolicy.from_checkpoint(
        {"flow_rl": {"policy": policy.settings}, "actor_state_dict": policy.state_dict()}
    )
    assert torch.equal(again.sample(latent, noise), policy.sample(latent, noise))
    with pytest.raises(ValueError, match="agent.actor.sampler.frozen_steps=2"):
        check_compatible({"policy": policy.settings}, pretrained.settings)


def test_another_sampler_is_another_policy():
    with pytest.raises(ValueError, match=r"sampler.kind flow vs denoising.*agent.actor.sampler.kind=flow"):
        check_compatible({"policy": make().settings}, denoising().settings)
    flow = make().settings
    del flow["sampler"]  # a file from before there was a choice
    assert FlowPolicy.from_settings(flow).settings["sampler"]["kind"] == "flow"
    check_compatible({"policy": flow}, make().settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": {"kind": "ddpm"}}, r"agent.actor.sampler.kind = 'ddpm' .*'flow', 'denoising'"),
        ({"sampler": {"frozen_steps": 1}}, r"sampler.frozen_steps = 1 .*0 for a flow.*sampler.kind=denoising"),
        ({"sampler": {"kind": "denoising", "levels": 3}}, r"sampler.levels = 3 .*num_flow_steps = 4"),
        ({"sampler": {"kind": "denoising", "frozen_steps": 4}}, r"frozen_steps = 4 .*less than .*num_flow_steps = 4"),
        (
            {"sampler": {"kind": "denoising", "frozen_steps": 1}, "image_shapes": IMAGES},
            r"frozen_steps = 1 .*images.*use 0",
        ),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)
