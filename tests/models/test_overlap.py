# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Chunks that join the former ones, by guidance and by writing over."""

import pytest
import torch

from flow_rl.deploy.chunking import Chunking
from flow_rl.models import FlowPolicy, Overlap
from tests.models.gaussian_flow import smooth_policy
from tests.models.test_flow_policy import OBS, A, H, make

CHUNKING = Chunking(horizon=8, execute=4, delay=2, method="rtc")


def overlap(num: int, guided: bool, former: torch.Tensor | None = None, action_dim: int = 2) -> Overlap:
    weights = torch.from_numpy(CHUNKING.weights()).repeat_interleave(action_dim).expand(num, -1)
    former = 0.2 * torch.randn(num, weights.shape[1]) if former is None else former
    return Overlap(former, weights, guided)


@pytest.mark.parametrize("kind", ["flow", "denoising"])
def test_inpainting_keeps_what_is_certain_to_the_bit(kind):
    policy, latent, noise = make(sampler={"kind": kind}), torch.randn(7, OBS), torch.randn(7, H * A)
    former = torch.rand(7, H * A) * 2 - 1
    weights = torch.tensor([1.0, 1.0, 0.3, 0.0]).repeat_interleave(A).expand(7, -1)
    chunk = policy.sample(latent, noise, overlap=Overlap(former, weights, guided=False))
    assert torch.equal(chunk[:, : 2 * A], former[:, : 2 * A])
    assert not torch.equal(chunk[:, 3 * A :], policy.sample(latent, noise)[:, 3 * A :]), "the rest is another flow"


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("settings", [{}, {"head": {"kind": "residual"}}, {"selector": {"kind": "best_of_n"}}])
def test_without_weights_it_is_the_plain_flow_to_the_bit(settings, guided):
    policy, latent, noise = make(**settings), torch.randn(7, OBS), torch.randn(7, H * A)
    policy.set_score_coefs([0.4, 0.3, 0.2, 0.1])
    bound = Overlap(torch.randn(7, H * A), torch.zeros(7, H * A), guided)
    if policy.selector is not None:
        noise = None
        torch.manual_seed(5)
    plain = policy.sample(latent, noise)
    torch.manual_seed(5)
    assert torch.equal(policy.sample(latent, noise, overlap=bound), plain)


def test_guidance_is_the_papers():
    """Two steps of a linear flow by hand: at t = 0 its end does not depend on the state, at t = 1/2 the gain is 2."""
    policy, noise = smooth_policy(num_steps=2), torch.randn(5, 16)
    bound = overlap(5, guided=True)
    matrix = policy.velocity.gain(0.5)
    x = noise - 0.5 * noise  # the velocity at t = 0 leads to the mean, zero
    end = x @ matrix.T
    pull = (bound.weights * (bound.former - end)) @ matrix
    x = x + 0.5 * ((end - x) / 0.5 + 2.0 * pull)
    torch.testing.assert_close(policy.sample(torch.zeros(5, 2), noise, overlap=bound), x.clamp(-1, 1))


@pytest.mark.parametrize("guided", [False, True])
def test_seams_are_smaller_than_naive_ones(guided):
    """Of two plans for the same time, the first d actions are executed from the old one, and then the new one's."""
    torch.manual_seed(0)
    policy, latent = smooth_policy(), torch.zeros(500, 2)
    step, delay = CHUNKING.execute, CHUNKING.delay
    old = policy.sample(latent).unflatten(1, (8, 2))
    former = torch.nn.functional.pad(old[:, step:], (0, 0, 0, step)).flatten(1)
    noise = torch.randn(500, 16)

    def seam(chunk):
        return float((chunk.unflatten(1, (8, 2))[:, delay] - old[:, step + delay - 1]).norm(dim=1).mean())

    naive = seam(policy.sample(latent, noise))
    joined = seam(policy.sample(latent, noise, overlap=overlap(500, guided, former)))
    within = float((old[:, 1:] - old[:, :-1]).norm(dim=2).mean())
    assert joined < 0.5 * naive and naive > 2 * within


def test_guidance_leaves_no_gradient_and_works_without_any():
    policy, latent = make(), torch.randn(3, OBS)
    bound = Overlap(torch.randn(3, H * A), torch.ones(3, H * A), guided=True)
    noise = torch.randn(3, H * A)
    outside = policy.sample(latent, noise, overlap=bound)
    with torch.inference_mode():
        inside = policy.sample(policy.get_latent({"policy": latent}) * 0 + latent, noise * 1.0, overlap=bound)
    assert torch.equal(outside, inside) and not outside.requires_grad
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_denoising_is_not_guided():
    policy = make(sampler={"kind": "denoising"})
    bound = Overlap(torch.zeros(2, H * A), torch.ones(2, H * A), guided=True)
    with pytest.raises(ValueError, match="chunking = 'rtc' .*naive or inpainting.*denoises"):
        policy.sample(torch.zeros(2, OBS), overlap=bound)


def test_twins_for_robots_write_over_too():
    """TorchScript takes the former chunk as an optional input, in the environment's units."""
    policy: FlowPolicy = make(prediction="residual")
    twin = torch.jit.script(policy.as_jit())
    obs, noise, former = torch.randn(6, OBS), torch.randn(6, H * A), torch.rand(H * A)
    weights = torch.tensor([1.0, 0.4, 0.2, 0.0]).repeat_interleave(A)
    normal = policy.action_normalizer(former).expand(6, -1)
    chunk = policy.sample(policy.get_latent({"policy": obs}), noise, overlap=Overlap(normal, weights, guided=False))
    torch.testing.assert_close(twin(obs, noise, former, weights), policy.action_normalizer.inverse(chunk))
