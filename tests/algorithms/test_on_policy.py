# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Bookkeeping of on-policy learners: truncation, schedules, warm-up, wrong settings and foreign checkpoints."""

import copy
import dataclasses

import pytest
import torch

from flow_rl.algorithms.rldt_settings import RldtSettings
from flow_rl.algorithms.score_flow_settings import ScoreFlowSettings
from flow_rl.configs.rldt import RldtAlgorithmCfg
from flow_rl.configs.score_flow import ScoreFlowAlgorithmCfg
from flow_rl.storage.rollout import RolloutStorage
from flow_rl.testing import PointMass
from tests.algorithms.conftest import collect, make_cfg, pretrained


def test_truncation_bootstraps_from_the_terminal_observation(make_runner):
    """Where a time limit struck, the stored value is that of the observation before the reset, elsewhere zero."""
    env = PointMass(8, limit=2, radius=0.0)
    alg = make_runner(env=env).alg
    obs = env.get_observations()
    alg.train_mode()
    with torch.inference_mode():
        for _ in range(2):
            obs, rewards, dones, extras = env.step(alg.act(obs))
            alg.process_env_step(obs, rewards, dones, extras)
        expected = alg.critic(extras["final_obs"]).squeeze(-1)
    data = alg.storage.data
    assert data["truncated"][1].all() and not data["terminated"].any()
    torch.testing.assert_close(data["terminal_value"][1], expected)
    assert not torch.equal(extras["final_obs"]["policy"], obs["policy"])
    assert (data["terminal_value"][0] == 0).all()


@pytest.mark.parametrize("learner", ["score_flow", "rldt"])
def test_success_on_the_last_decision_is_not_bootstrapped(make_runner, learner):
    """The host reports it as a time-out as well, but nothing follows a success: its return is 1."""
    env = PointMass(8, limit=1, radius=9.0)
    alg = make_runner(learner, env=env, time_limit_is_terminal=False).alg
    obs = env.get_observations()
    alg.train_mode()
    with torch.inference_mode():
        obs, rewards, dones, extras = env.step(alg.act(obs))
        assert extras["time_outs"].all() and rewards.all()
        extras["final_obs"]["policy"].fill_(float("nan"))  # as in an episode that ends because a state broke
        alg.process_env_step(obs, rewards, dones, extras)
    if learner == "rldt":
        assert not alg.replay.truncated.any()
    else:
        data = alg.storage.data
        assert data["terminated"][0].all() and not data["truncated"].any() and (data["terminal_value"] == 0).all()


def test_mini_batches_differ_by_one_decision_at_most(make_runner):
    """One of a single decision would have no deviation of its advantages, and be left out."""
    runner = make_runner(env=PointMass(5), num_mini_batches=4)
    alg = collect(runner)
    assert sorted(len(batch) for batch in alg.storage.mini_batches(4)) == [7, 7, 8, 8]
    small = RolloutStorage(PointMass(2).get_observations(), 5, {}, "cpu")
    assert sorted(len(batch) for batch in small.mini_batches(4)) == [2, 2, 3, 3]


def test_a_policy_that_never_learns_is_refused(make_runner):
    """A warm-up as long as the training would say nothing and do nothing; after a resume there is time left."""
    runner = make_runner(critic_warmup=4)
    with pytest.raises(ValueError, match=r"agent.algorithm.critic_warmup = 4 .*less than the 4 iterations.*max_iter"):
        runner.learn(1)
    runner.alg.iteration, runner.alg.num_iterations = 3, 7
    runner.alg.train_mode()


@pytest.mark.parametrize("learner", ["reinflow", "score_flow", "rldt"])
def test_the_drift_of_an_earlier_learner_is_kept(make_runner, learner):
    """Exploration, anchors and what is played begin with the policy as it was, its score drift included."""
    source = make_runner("score_flow", learn_score_coef=False, score_coef_kind="linear")
    with torch.no_grad():
        source.alg.actor.set_score_coefs([0.3, 0.25, 0.1, 0.05])
    options = {"bc_coef": 1.0} if learner != "rldt" else {"reference": "pretrained"}
    alg = make_runner(learner, **options).alg
    alg.load(pretrained(source.alg.actor))
    x, latent = torch.randn(64, 4), torch.randn(64, 2)
    expected = [source.alg.actor.drift(x, torch.full((64, 1), i / 4), latent) for i in range(4)]
    anchor = alg.reference if learner == "rldt" else alg.anchor
    drift = alg.actor.drift if learner == "rldt" else alg.drift
    for i, wanted in enumerate(expected):
        t = torch.full((64, 1), i / 4)
        torch.testing.assert_close(anchor.drift(x, t, latent), wanted)
        torch.testing.assert_close(drift(x, t, latent), wanted, atol=0.05, rtol=0.0)


def test_stale_terminal_observations_do_no_harm(make_runner):
    """The key stays between resets and may hold anything for other environments."""
    alg, env = make_runner().alg, PointMass()
    alg.train_mode()
    obs = env.get_observations()
    nowhere = {"final_obs": {"policy": torch.full((32, 2), float("nan"))}, "time_outs": torch.zeros(32).bool()}
    with torch.inference_mode():
        alg.act(obs)
        alg.process_env_step(obs, torch.zeros(32), torch.zeros(32), nowhere)
    assert torch.isfinite(alg.storage.data["terminal_value"]).all()


def test_time_out_without_terminal_observation(make_runner):
    """The message names the setting that provides it; without a time-out nothing is missing."""
    with pytest.raises(RuntimeError, match="env.compute_final_obs=true"):
        collect(make_runner(env=PointMass(limit=2, radius=0.0, final_obs=False)))
    collect(make_runner(env=PointMass(limit=99, radius=0.0, final_obs=False)))


def test_time_limit_as_failure(make_runner):
    """On request a time limit is a termination and needs no terminal observation."""
    env = PointMass(limit=2, radius=0.0, final_obs=False)
    data = collect(make_runner(env=env, time_limit_is_terminal=True)).storage.data
    assert data["terminated"].any() and not data["truncated"].any()


def test_reward_scale_is_the_same_for_a_whole_rollout(make_runner):
    """Returns are those of rewards divided by one scale, which has seen the rollout already."""
    alg = collect(make_runner(env=PointMass(64, radius=0.9), lam=1.0, gamma=0.5))
    data, scale = alg.storage.data, alg.reward_scaler.scale
    assert scale > 0.05
    last = data["terminated"][-1]
    torch.testing.assert_close(data["return"][-1][last], (data["reward"][-1] / scale)[last])


def test_critic_warmup_leaves_the_actor_alone(make_runner):
    """During warm-up only the critic moves, and the log is complete."""
    alg = collect(make_runner(critic_warmup=1))
    actor, critic = (copy.deepcopy(dict(net.named_parameters())) for net in (alg.actor, alg.critic))
    numbers = alg.update()
    assert all(torch.equal(actor[key], value) for key, value in alg.actor.named_parameters())
    assert any(not torch.equal(critic[key], value) for key, value in alg.critic.named_parameters())
    assert {"surrogate", "kl", "sigma_0"} <= numbers.keys()
    assert not alg.warming_up


def test_learning_rates_follow_their_cosines(make_runner):
    """Both rates begin and end where the settings say."""
    rates = {"learning_rate": 1e-3, "final_learning_rate": 1e-4}
    rates |= {"critic_learning_rate": 2e-3, "final_critic_learning_rate": 2e-4}
    runner = make_runner(**rates)
    assert [group["lr"] for group in runner.alg.optimizer.param_groups] == pytest.approx([1e-3, 2e-3])
    runner.learn(4)
    assert [group["lr"] for group in runner.alg.optimizer.param_groups] == pytest.approx([1e-4, 2e-4])


def test_another_number_of_environments(make_runner, tmp_path):
    """A checkpoint resumes with more or fewer environments; what belongs to each begins anew."""
    first = make_runner(env=PointMass(8))
    first.learn(1)
    first.save(str(tmp_path / "model.pt"))
    second = make_runner(env=PointMass(16))
    second.load(str(tmp_path / "model.pt"))
    assert second.alg.reward_scaler.returns.tolist() == [0.0] * 16
    assert second.alg.reward_scaler.scale == first.alg.reward_scaler.scale
    second.learn(1)


def test_fresh_optimizer_on_request(make_runner):
    """The stock switch that keeps a new optimiser leaves its state empty."""
    runner = make_runner()
    runner.learn(1)
    other = make_runner().alg
    assert other.load(runner.alg.save(), {"actor": True, "critic": True, "optimizer": False, "iteration": True})
    assert len(other.optimizer.state) == 0


def test_another_learners_checkpoint_gives_its_policy(make_runner, capsys):
    """What the other learner had besides the policy does not fit; the policy does, and a line says so."""
    runner = make_runner("reinflow")
    runner.learn(1)
    alg = make_runner("score_flow").alg
    assert alg.load(runner.alg.save()) is False
    assert "begins with the policy of stage finetune (reinflow)" in capsys.readouterr().out


def test_checkpoint_of_other_settings(make_runner, capsys):
    """A part that the checkpoint lacks begins with its policy; one of another shape is an error with a remedy.

    An anchor that began with weights of its own would pull towards a policy at random.
    """
    checkpoint = make_runner().alg.save()
    torch.manual_seed(1)
    alg = make_runner(bc_coef=1.0).alg
    alg.load(checkpoint)
    assert "written without bc, which begins as a copy of the loaded policy" in capsys.readouterr().out
    anchor = alg.anchor.policy.state_dict()
    assert all(torch.equal(anchor[key], value) for key, value in checkpoint["actor_state_dict"].items())
    with pytest.raises(ValueError, match="checkpoint's noise_predictor does not fit.*params/agent.yaml"):
        make_runner(noise_hidden_dims=[8]).alg.load(checkpoint)
    with pytest.raises(ValueError, match="checkpoint's optimizer does not fit"):
        make_runner(learn_score_coef=False).alg.load(checkpoint)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_learning_epochs": 0}, r"agent.algorithm.num_learning_epochs = 0 .*>= 1"),
        (
            {"num_mini_batches": 1000},
            r"agent.algorithm.num_mini_batches = 1000 .*half the 192 decisions.*num_steps_per_env",
        ),
        ({"gamma": 1.5}, r"agent.algorithm.gamma = 1.5 .*\[0, 1\]"),
        ({"lam": -0.1}, r"agent.algorithm.lam = -0.1 .*\[0, 1\]"),
        ({"max_grad_norm": 0.0}, r"agent.algorithm.max_grad_norm = 0.0 .*null"),
        ({"learning_rate": -1.0}, r"agent.algorithm.learning_rate = -1.0 .*>= 0"),
        ({"critic_warmup": -1}, r"agent.algorithm.critic_warmup = -1 .*>= 0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, what is valid and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner(**settings)


def test_unknown_settings_are_named_together(make_runner):
    """With those that were probably meant."""
    cfg = make_cfg()
    cfg["algorithm"] |= {"gama": 0.9, "epochs": 3}
    message = r"agent.algorithm.gama, agent.algorithm.epochs: ScoreFlowSettings has no such.*mean agent.algorithm.gamma"
    with pytest.raises(ValueError, match=message):
        make_runner(cfg=cfg)
    with pytest.raises(ValueError, match=r"agent.algorithm.scale_rewards.*RldtSettings has no such"):
        RldtSettings.parse({"scale_rewards": True})


def test_configurations_inherit_settings():
    """Every setting is declared once, and a default is one for both."""
    for config, record in ((ScoreFlowAlgorithmCfg, ScoreFlowSettings), (RldtAlgorithmCfg, RldtSettings)):
        assert config().to_dict() == dataclasses.asdict(record()) | {"class_name": config().class_name}
        assert config(lam=0.25).lam == 0.25
        values = {name: value for name, value in config(lam=2.0).to_dict().items() if name != "class_name"}
        with pytest.raises(ValueError, match=r"agent.algorithm.lam = 2.0 .*\[0, 1\]"):
            record.parse(values)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu():
    """A device that is not there is named together with those that are."""
    from flow_rl.algorithms.score_flow import ScoreFlow

    env = PointMass()
    with pytest.raises(ValueError, match=r"agent.device = 'cuda:0' .*cpu on this machine.*agent.device=cpu"):
        ScoreFlow.construct_algorithm(env.get_observations(), env, make_cfg(), "cuda:0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obs_groups": {"policy": 23}}, r"checkpoint of another task: obs_dim 23 vs 2 .*PointMass"),
        ({"action_dim": 7, "horizon": 8}, r"action_dim 7 vs 2, horizon 8 vs 2"),
        ({"hidden_dims": [64]}, r"another network: hidden_dims \[64\] vs \[32, 32\].*agent.actor.hidden_dims=\[64\]"),
        ({"prediction": "x"}, r"agent.actor.prediction=x"),
        ({"obs_scaling": "whitening"}, r"obs_scaling whitening vs range.*agent.actor.obs_scaling=whitening"),
    ],
)
def test_checkpoints_that_do_not_fit(changes, message, make_runner):
    """The message lists what differs, and what to do about it; nothing is loaded."""
    alg = make_runner().alg
    with pytest.raises(ValueError, match=message):
        alg.load(pretrained(alg.actor, **changes))
    assert not alg.policy_loaded


def test_foreign_checkpoint(make_runner):
    """Another library's checkpoint is recognised."""
    with pytest.raises(ValueError, match="holds no flow policy.*flow-rl pretrain"):
        make_runner().alg.load({"actor_state_dict": {}, "iter": 3})


def test_parameter_groups_of_a_learner(make_runner, monkeypatch):
    """What a learner adds has its own rate, gradient norm and bound, and travels with checkpoints."""
    from flow_rl.algorithms.optimizer import ParameterGroup
    from flow_rl.algorithms.score_flow import ScoreFlow

    def more_groups(alg):
        alg.weight = torch.nn.Parameter(torch.zeros(()))
        return {"weight": ParameterGroup([alg.weight], 1e-2, 1e-3)}

    losses = ScoreFlow.losses

    def with_weight(alg, batch):
        loss, metrics = losses(alg, batch)
        return loss - alg.weight, metrics

    monkeypatch.setattr(ScoreFlow, "more_groups", more_groups)
    monkeypatch.setattr(ScoreFlow, "losses", with_weight)
    alg = collect(make_runner())
    numbers = alg.update()
    assert (
        alg.weight > 0 and numbers["grad_norm_weight"] == 1.0 and numbers["weight_learning_rate"] == pytest.approx(1e-2)
    )
    other = make_runner().alg
    other.load(alg.save())
    assert other.optimizer.state_dict()["state"].keys() == alg.optimizer.state_dict()["state"].keys()
