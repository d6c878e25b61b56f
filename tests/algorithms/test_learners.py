# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What holds for every learner: it runs behind the stock runner, resumes exactly, and exports."""

import copy
import re
from types import SimpleNamespace

import pytest
import torch

from flow_rl.configs import learners
from flow_rl.models import FlowPolicy
from flow_rl.testing import PointMass
from flow_rl.utils.checkpoint import load_checkpoint
from tests.algorithms.conftest import make_cfg

every_learner = pytest.mark.parametrize("learner", sorted(learners()))


def state_of(alg) -> dict[str, torch.Tensor]:
    """All tensors that learning depends on, flattened."""
    flat = {}

    def walk(prefix, value):
        if isinstance(value, torch.Tensor):
            flat[prefix] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        elif isinstance(value, list):
            walk(prefix, dict(enumerate(value)))

    walk("", alg.save())
    return flat


@every_learner
def test_config_fields_have_an_implementation(learner):
    """A configuration builds its learner without anything being added, and names it."""
    assert make_cfg(learner)["algorithm"]["class_name"].startswith("flow_rl.algorithms.")


@every_learner
def test_two_updates(learner, make_runner, tmp_path):
    """Two updates change the policy and leave only finite numbers; checkpoints hold nothing but plain data."""
    runner = make_runner(learner, log=True)
    before = copy.deepcopy(runner.alg.get_policy().state_dict())
    runner.learn(2)
    after = runner.alg.get_policy().state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(torch.isfinite(value).all() for value in after.values())
    checkpoint = load_checkpoint(tmp_path / "model_1.pt")
    assert checkpoint["flow_rl"]["learner"] == learner
    assert checkpoint["flow_rl"]["task"] == "PointMass"
    policy = FlowPolicy.from_checkpoint(checkpoint)
    obs, noise = runner.env.get_observations(), torch.randn(32, 4)
    latent = policy.get_latent(obs)
    assert torch.equal(policy.sample(latent, noise), runner.alg.get_policy().sample(latent, noise))


@every_learner
def test_resuming_is_bit_identical(learner, make_runner, tmp_path):
    """Two iterations, a checkpoint, and the two that are left in a new process state equal four in a row."""
    straight = make_runner(learner, env=PointMass(8))
    straight.learn(2)
    straight.save(str(tmp_path / "half.pt"))
    env = copy.deepcopy(straight.env)
    straight.learn(2)
    torch.manual_seed(99)
    resumed = make_runner(learner, env=env, cfg=make_cfg(learner) | {"max_iterations": 2})
    resumed.load(str(tmp_path / "half.pt"))
    assert resumed.alg.num_iterations == straight.alg.num_iterations == 4
    torch.randn(7)
    resumed.learn(2)
    expected, found = state_of(straight.alg), state_of(resumed.alg)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key


@every_learner
def test_starts_from_a_pretrained_policy(learner, make_runner, tmp_path):
    """A pretraining checkpoint gives the policy alone, and iterations count from zero."""
    from tests.algorithms.conftest import pretrained

    torch.save(pretrained(make_runner(learner).alg.actor), tmp_path / "pretrained.pt")
    runner = make_runner(learner, from_scratch=False)
    runner.load(str(tmp_path / "pretrained.pt"))
    assert runner.current_learning_iteration == 0
    wanted = load_checkpoint(tmp_path / "pretrained.pt")["actor_state_dict"]
    assert all(torch.equal(wanted[key], value) for key, value in runner.alg.actor.state_dict().items())
    runner.learn(1)


@every_learner
def test_export(learner, make_runner, tmp_path):
    """The stock export to TorchScript works on a trained policy."""
    runner = make_runner(learner)
    runner.export_policy_to_jit(str(tmp_path))
    twin = torch.jit.load(tmp_path / "policy.pt")
    assert twin(torch.zeros(1, 2), torch.zeros(1, 4)).shape == (1, 4)


@every_learner
def test_a_pretrained_policy_is_required(learner, make_runner):
    """Learning from a random policy must be asked for; the message names the command that makes a policy."""
    with pytest.raises(ValueError, match=r"flow-rl pretrain --task PointMass.*agent.algorithm.from_scratch=true"):
        make_runner(learner, from_scratch=False).learn(1)


@every_learner
def test_cameras_that_the_environment_lacks_are_refused(learner, make_runner):
    for part, groups in (("actor", ["policy", "front"]), ("critic", ["state"]), ("critic", "[policy]")):
        cfg = make_cfg(learner)
        cfg["obs_groups"] = cfg["obs_groups"] | {part: groups}
        message = rf"agent.obs_groups.{part} = {re.escape(repr(groups))} .*environment, \['policy'\]. Remedy: .*-Vision"
        with pytest.raises(ValueError, match=message):
            make_runner(cfg=cfg)


@every_learner
def test_a_viewer_may_sample_the_policy(learner, make_runner):
    """An environment with a viewer is given the policy's samples; chunks it plays are not changed by taking them."""
    env = PointMass()
    env.unwrapped.chunk_view = SimpleNamespace(sample_chunks=None)
    runner = make_runner(learner, env=env)
    obs, policy = env.get_observations(), runner.get_inference_policy()
    torch.manual_seed(0)
    expected = policy(obs)
    torch.manual_seed(0)
    samples = env.unwrapped.chunk_view.sample_chunks(obs, 3, torch.Generator().manual_seed(0))
    assert samples.shape == (3, *expected.shape)
    assert torch.equal(policy(obs), expected)


def test_discovery():
    """Learners are found by their files; the names are those of the command line."""
    assert learners()["score_flow"] == "flow_rl.configs.score_flow:ScoreFlowRunnerCfg"
    assert learners()["reinflow"] == "flow_rl.configs.reinflow:ReinFlowRunnerCfg"
    assert "pretrain" not in learners()
