# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Checkpoints become policies that sample as asked, or are refused."""

from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict

from flow_rl.evaluation.policies import (
    ExpertPolicy,
    check_sampling,
    checkpoint_policy,
    foreign_policy,
    uniform_policy,
)
from flow_rl.testing import PointMass
from flow_rl.testing import small_config as make_cfg
from tests.toy_env import ToyEnv, ToyExpert


@pytest.fixture(params=["score_flow", "rldt", "sac_flow"])
def finetuned(request):
    """A learner on the point mass, and its environment as evaluation sees one."""
    from rsl_rl.runners import OnPolicyRunner

    torch.manual_seed(0)
    mass = PointMass()
    runner = OnPolicyRunner(mass, make_cfg(request.param), log_dir=None, device="cpu")
    obs = mass.get_observations()
    manager = SimpleNamespace(group_obs_dim={"policy": (obs["policy"].shape[1],)}, compute=lambda: dict(obs.items()))
    env = SimpleNamespace(observation_manager=manager, num_envs=mass.num_envs, device="cpu")
    return runner.alg, env, TensorDict(obs, batch_size=obs.batch_size)


def make(alg, env, **changes):
    """The policy of the learner's checkpoint."""
    options = {"action_dim": alg.actor.action_dim, "task": "PointMass", "sampling": "random"}
    options["runner_cfg"] = make_cfg(alg.name)
    return checkpoint_policy(alg.save(), env, **options | changes)


@torch.no_grad()
def test_zero_noise_repeats_itself_and_random_noise_does_not(finetuned):
    alg, env, obs = finetuned
    zero, random = make(alg, env, sampling="zero"), make(alg, env)
    assert torch.equal(zero.act(obs), zero.act(obs))
    assert not torch.equal(random.act(obs), random.act(obs))
    torch.manual_seed(3)
    ours = random.act(obs)
    torch.manual_seed(3)
    assert torch.equal(ours, alg.actor(obs))


@torch.no_grad()
@pytest.mark.parametrize("finetuned", ["bc_gaussian"], indirect=True)
def test_a_regression_is_played_from_zero_noise_alone(finetuned):
    alg, env, obs = finetuned
    assert torch.equal(make(alg, env, sampling="random").act(obs), alg.actor(obs))
    assert not torch.equal(make(alg, env, sampling="stochastic").act(obs), alg.actor(obs))


@torch.no_grad()
def test_stochastic_sampling_is_the_learners_exploration(finetuned):
    alg, env, obs = finetuned
    policy = make(alg, env, sampling="stochastic")
    torch.manual_seed(3)
    ours = policy.act(obs)
    torch.manual_seed(3)
    expected = alg.actor.action_normalizer.inverse(alg.explore(alg.actor.get_latent(obs)).chunk)
    torch.testing.assert_close(ours, expected)


@torch.no_grad()
def test_noise_is_what_it_has_become(finetuned):
    """A schedule has lowered its bound; how long the training was is not known where it is sampled."""
    alg, env, obs = finetuned
    if alg.name != "score_flow":
        pytest.skip("its noise has no schedule")
    alg.std_schedule, alg.iteration = "learn_decay", 3
    alg._apply_schedules()
    policy = make(alg, env, sampling="stochastic", runner_cfg=make_cfg() | {"max_iterations": 1000})
    torch.manual_seed(3)
    ours = policy.act(obs)
    torch.manual_seed(3)
    torch.testing.assert_close(ours, alg.actor.action_normalizer.inverse(alg.explore(alg.actor.get_latent(obs)).chunk))
    assert alg.noise_predictor.bounds[1] < 0.95 * alg.settings.std_max


@torch.no_grad()
@pytest.mark.parametrize("sampling", ["zero", "stochastic"])
def test_older_checkpoints_are_evaluated_as_they_train(finetuned, sampling):
    """They do not say how observations are scaled; what the task's settings say today is not theirs."""
    alg, env, obs = finetuned
    checkpoint, cfg = alg.save(), make_cfg(alg.name)
    for name in ("obs_scaling", "image_shapes", "encoder"):
        del checkpoint["flow_rl"]["policy"][name]
    alg.load(checkpoint)
    cfg["actor"]["obs_scaling"] = "whitening"
    options = {"action_dim": alg.actor.action_dim, "task": "PointMass", "sampling": sampling}
    policy = checkpoint_policy(checkpoint, env, **options, runner_cfg=cfg)
    torch.testing.assert_close(policy.actor.get_latent(obs), alg.actor.get_latent(obs))
    assert policy.act(obs).isfinite().all()


def test_other_dimensions_are_named(finetuned):
    alg, env, _ = finetuned
    with pytest.raises(ValueError, match=rf"action_dim {alg.actor.action_dim} vs 7"):
        make(alg, env, action_dim=7)
    env.observation_manager.group_obs_dim["policy"] = (31,)
    with pytest.raises(ValueError, match=rf"obs_dim {alg.actor.obs_dim} vs 31"):
        make(alg, env)


def test_other_cameras_are_named(finetuned):
    """A policy that sees is not played without its cameras, nor with pictures of another size."""
    alg, env, _ = finetuned
    checkpoint = alg.save()
    checkpoint["flow_rl"]["policy"]["image_shapes"] = {"front": [3, 96, 96]}
    options = {"action_dim": alg.actor.action_dim, "task": "PointMass", "sampling": "random", "runner_cfg": None}
    with pytest.raises(ValueError, match=r"image_shapes \{'front': \[3, 96, 96\]\} vs \{\} .*Choose a checkpoint"):
        checkpoint_policy(checkpoint, env, **options)
    env.observation_manager.group_obs_dim["front"] = (3, 64, 64)
    with pytest.raises(ValueError, match=r"image_shapes .*96\]\} vs \{'front': \[3, 64, 64\]\}"):
        checkpoint_policy(checkpoint, env, **options)


def test_a_pretrained_policy_has_no_noise_of_a_learner(finetuned):
    checkpoint = finetuned[0].save()
    check_sampling(checkpoint, "stochastic")
    checkpoint["flow_rl"]["stage"] = "pretrain"
    check_sampling(checkpoint, "zero")
    with pytest.raises(ValueError, match="--sampling = 'stochastic'.*random or zero"):
        check_sampling(checkpoint, "stochastic")


def test_baselines():
    assert uniform_policy((3, 4), "cpu", 0.0).act(None).abs().max() == 0
    actions = uniform_policy((300, 4), "cpu", 0.5).act(None)
    assert actions.min() >= -0.5 and actions.max() <= 0.5 and actions.std() > 0.2
    expert = ExpertPolicy(ToyExpert(ToyEnv()))
    assert expert.act(None)[0, 0] == 1 and expert.act(None)[0, 0] == 2


def towards_origin(obs, noise):
    """Chunks (B, 3, 2) of somebody else, longer than what is executed."""
    return -0.5 * obs["policy"].unsqueeze(1).repeat(1, 3, 1) + 0.1 * noise.repeat(1, 2, 1)[:, :3]


def foreign(env, **changes):
    settings = {"source": f"{__name__}:towards_origin", "execute_code": True}
    return foreign_policy(settings | changes, env, groups=["policy"], chunk=(2, 2), sampling="zero")


@torch.no_grad()
@pytest.mark.parametrize("finetuned", ["score_flow"], indirect=True)
def test_policies_of_others_are_played_as_they_are(finetuned):
    """As much of their chunks as the environment executes, from the noise that is asked for."""
    _, env, obs = finetuned
    chunk = foreign(env).act(obs)
    torch.testing.assert_close(chunk, (-0.5 * obs["policy"]).repeat(1, 2))
    with pytest.raises(ValueError, match=r"base.source.*a program only if.*--execute_code"):
        foreign(env, execute_code=False)
    with pytest.raises(ValueError, match="--sampling = 'stochastic'.*random or zero for function"):
        foreign_policy(
            {"source": f"{__name__}:towards_origin", "execute_code": True},
            env,
            groups=["policy"],
            chunk=(2, 2),
            sampling="stochastic",
        )
