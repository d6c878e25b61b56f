# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""PPO on a cloned Gaussian: likelihood, gradients, pretraining as regression, guards, learning."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal

from flow_rl.algorithms.bc_gaussian import NoiseScale, gaussian_log_prob
from flow_rl.flows import sample_chain
from flow_rl.pretrain.trainer import chunk_loss
from flow_rl.testing import bandit
from tests.algorithms.conftest import OnPolicyRunner, collect, make_cfg


def test_log_prob_and_its_gradients():
    """Averages over coordinates; by the mean (a - mu) / sigma^2, by sigma (a - mu)^2 / sigma^3 - 1 / sigma, over D."""
    mean, std = torch.randn(5, 6, requires_grad=True), torch.full((6,), 0.2, requires_grad=True)
    chunk = mean.detach() + 0.2 * torch.randn(5, 6)
    log_prob = gaussian_log_prob(chunk, mean, std)
    torch.testing.assert_close(log_prob, Normal(mean, std).log_prob(chunk).mean(-1))
    by_mean, by_std = torch.autograd.grad(log_prob.sum(), (mean, std))
    error = (chunk - mean).detach()
    torch.testing.assert_close(by_mean, error / 0.2**2 / 6)
    torch.testing.assert_close(by_std, ((error.square() / 0.2**3 - 1 / 0.2) / 6).sum(0))


def test_the_chain_of_one_step_has_half_of_it():
    """K = 1: (mean log N(x_0; 0, 1) + mean log N(a; mu, sigma^2)) / 2, so that its ratio is the square root of ours."""
    noise = torch.randn(7, 3)
    chain = sample_chain(lambda x, t: 0.3 - x, lambda x, t: torch.full_like(x, 0.1), noise, 1)
    own = gaussian_log_prob(chain.action, torch.full((7, 3), 0.3), torch.full((3,), 0.1))
    expected = 0.5 * (Normal(0.0, 1.0).log_prob(noise).mean(-1) + own)
    torch.testing.assert_close(chain.log_prob.mean(-1), expected)


def test_the_noise_starts_as_asked_and_keeps_its_bounds():
    scale = NoiseScale(4, 0.1, (0.01, 0.2))
    torch.testing.assert_close(scale(), torch.full((4,), 0.1))
    for value, bound in ((100.0, 0.2), (-100.0, 0.01)):
        scale.logit.data.fill_(value)
        torch.testing.assert_close(scale(), torch.full((4,), bound))


def test_the_mean_is_what_is_played(make_runner):
    """Without noise, whatever noise the runner's prior draws."""
    alg = make_runner("bc_gaussian").alg
    latent = torch.randn(50, 2)
    torch.testing.assert_close(alg.mean(latent), alg.actor.sample(latent), atol=0.0, rtol=0.0)
    assert torch.equal(alg.actor.sample(latent), alg.actor.sample(latent))


@pytest.mark.parametrize("prediction", ["v", "x", "residual"])
def test_pretraining_is_regression(make_runner, prediction):
    """The loss is the mean squared distance of the chunk that is played, before the box, whatever is predicted."""
    cfg = make_cfg("bc_gaussian")
    cfg["actor"] |= {"prediction": prediction, "intermediate_clip": None}
    policy = make_runner(cfg=cfg).alg.actor
    obs, chunks = torch.randn(64, 2), torch.rand(64, 4) - 0.5
    policy.fit(obs, chunks.reshape(-1, 2))
    loss = chunk_loss(policy, SimpleNamespace(time_law="uniform"), {"policy": obs}, chunks, torch.ones_like(chunks))
    ends = policy.flow(policy.get_latent({"policy": obs}))[-1]
    torch.testing.assert_close(loss, (ends - policy.action_normalizer(chunks)).square().mean())


def test_ratios_begin_at_one_and_entropy_is_that_of_the_noise(make_runner):
    alg = collect(make_runner("bc_gaussian"))
    numbers = alg.update()
    assert numbers["ratio_error_first"] < 1e-5
    alg = collect(make_runner("bc_gaussian", std=0.05, critic_warmup=1))
    assert alg.update()["entropy"] == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.05**2), abs=1e-4)


def test_only_the_critic_learns_during_warm_up(make_runner):
    """Nor does anything move without learning rates."""
    still = dict.fromkeys(("learning_rate", "final_learning_rate"), 0.0)
    for settings in ({"critic_warmup": 1}, still):
        alg = collect(make_runner("bc_gaussian", **settings))
        before = {name: copy.deepcopy(alg.parts[name].state_dict()) for name in ("actor", "noise_scale", "critic")}
        alg.update()
        moved = {
            name: any(not torch.equal(state[key], value) for key, value in alg.parts[name].state_dict().items())
            for name, state in before.items()
        }
        assert moved == {"actor": False, "noise_scale": False, "critic": True}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std": 0.3}, r"agent.algorithm.std = 0.3 .*std_max = 0.2"),
        ({"std": 0.01}, r"agent.algorithm.std = 0.01 .*std_min = 0.01"),
        ({"clip_param": 0.0}, r"agent.algorithm.clip_param = 0.0 .*> 0"),
        ({"entropy_coef": -1.0}, r"agent.algorithm.entropy_coef = -1.0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    with pytest.raises(ValueError, match=message):
        make_runner("bc_gaussian", **settings)


@pytest.mark.parametrize("change", [{"num_flow_steps": 4}, {"initial_noise": "random"}, {"head": {"kind": "residual"}}])
def test_other_policies_are_refused(change, make_runner):
    cfg = make_cfg("bc_gaussian")
    cfg["actor"] |= change
    with pytest.raises(ValueError, match=r"num_flow_steps / initial_noise / head.kind = .*\(1, 'zero', 'none'\)"):
        make_runner(cfg=cfg)


def test_a_bandit_moves_the_mean_to_the_best_chunk(monkeypatch):
    """Reward -|a - c|^2, from a random policy."""
    centre = torch.tensor([0.5, -0.4])
    monkeypatch.setattr(bandit, "reward", lambda actions: -(actions - centre).square().sum(-1))
    rates = {"learning_rate": 3e-3, "final_learning_rate": 1e-3, "clip_param": 0.2}
    cfg = make_cfg("bc_gaussian", **rates) | {"max_iterations": 25, "num_steps_per_env": 4}
    cfg["actor"]["horizon"] = 1
    runner = OnPolicyRunner(bandit.Bandit(128), cfg, device="cpu")
    policy, latent = runner.alg.actor, torch.zeros(1, 1)
    before = (policy.sample(latent) - centre).norm().item()
    runner.learn(25)
    assert before > 0.4 and (policy.sample(latent) - centre).norm().item() < 0.1
