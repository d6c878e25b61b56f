# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies that nobody here made, under the learners that leave them as they are."""

from __future__ import annotations

import json

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.export import compare, export_package
from flow_rl.models import Anchor, FlowPolicy
from flow_rl.policies import BaseSettings, Interface, open_policy
from flow_rl.policies.sources import check_exportable
from flow_rl.pretrain.trainer import check_settings
from flow_rl.testing import FilmedPointMass, PointMass, small_config
from flow_rl.utils.checkpoint import load_checkpoint
from tests.policies.conftest import MORE, A, H, Network, make_checkpoint, point_contract, straight

NOISY = ["flow.pt", "denoising.pt", "package", "noisy.ts", "noisy.onnx", "function"]
PLAIN = ["plain.pt", "single.onnx", "plain function"]
CODE = ["noisy.ts", "plain.pt", "function", "plain function"]
PAIRS = [(learner, kind) for learner in MORE for kind in NOISY + (PLAIN if learner != "dsrl" else [])]


def play(policy: FlowPolicy, obs, seed: int = 5) -> torch.Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return policy(obs)


@pytest.mark.parametrize(("learner", "kind"), PAIRS)
def test_learners_learn_upon_any_policy_and_leave_it_as_it_is(make_runner, sources, tmp_path, learner, kind):
    """What moves is theirs, a checkpoint plays as what was learnt, and goes on."""
    runner = make_runner(learner, sources[kind])
    alg = runner.alg
    before = {name: value.clone() for name, value in alg.actor.state_dict().items()}
    obs = runner.env.get_observations()
    groups = {name: obs[name] for name in alg.actor.base.groups}
    noise = None if alg.actor.base.noise_shape is None else torch.randn(8, *alg.actor.base.noise_shape)
    chunks = alg.actor.base(groups, noise)
    assert chunks.shape == (8, H, A)
    runner.learn(2)
    moved = {name for name, value in alg.actor.state_dict().items() if not torch.equal(before[name], value)}
    assert moved and all(name.startswith(("head.", "prior.steering.")) for name in moved)
    assert torch.equal(alg.actor.base(groups, noise), chunks)
    runner.save(str(tmp_path / "model.pt"))
    checkpoint = load_checkpoint(tmp_path / "model.pt")
    checkpoint["flow_rl"]["policy"]["base"]["execute_code"] = True
    assert torch.equal(play(FlowPolicy.from_checkpoint(checkpoint), obs), play(alg.actor, obs))
    again = make_runner(learner, sources[kind])
    again.load(str(tmp_path / "model.pt"))
    assert again.alg.iteration == 2 and torch.equal(play(again.alg.actor, obs), play(alg.actor, obs))


@pytest.mark.parametrize("kind", NOISY)
def test_a_new_learner_plays_the_policy_itself(make_runner, sources, kind):
    """In the environment's units: the correction begins with nothing."""
    actor = make_runner("residual", sources[kind]).alg.actor
    obs = {"policy": torch.randn(8, 2)}
    noise = torch.randn(8, H * A)
    chunk = actor.action_normalizer.inverse(actor.sample(actor.get_latent(obs), noise))
    expected = actor.base(obs, noise.view(8, *actor.base.noise_shape)).flatten(1)
    low, high = actor.base.action_range or (-torch.ones(A), torch.ones(A))
    torch.testing.assert_close(chunk, expected.clamp(low.repeat(H), high.repeat(H)))


def test_checkpoints_and_packages_act_as_what_they_were_made_of(sources):
    """The same chunks, and the same ranges of actions and observations, but for a package's own limits."""
    interface = Interface({"policy": [2]}, H, A)
    flow, package = (open_policy(BaseSettings(sources[kind]), interface) for kind in ("flow.pt", "package"))
    policy = FlowPolicy.from_checkpoint(load_checkpoint(sources["flow.pt"]))
    obs, noise = {"policy": torch.randn(5, 2)}, torch.randn(5, H * A)
    expected = policy.action_normalizer.inverse(policy.sample(policy.get_latent(obs), noise)).view(5, H, A)
    torch.testing.assert_close(flow(obs, noise), expected)
    torch.testing.assert_close(package(obs, noise), expected.clamp(-0.8, 0.8), atol=1e-5, rtol=0)
    assert flow.differentiable and not package.differentiable
    for given, own in zip(package.obs_scales["policy"], flow.obs_scales["policy"], strict=True):
        torch.testing.assert_close(given, own)
    torch.testing.assert_close(flow.obs_scales["policy"][0], policy.observer.normalizer.center)


def test_what_is_learnt_sees_observations_in_the_scale_of_the_base(make_runner, sources):
    flow = FlowPolicy.from_checkpoint(load_checkpoint(sources["flow.pt"]))
    actor = make_runner("residual", sources["flow.pt"]).alg.actor
    obs = {"policy": torch.randn(5, 2)}
    latent = actor.get_latent(obs)
    assert latent.shape == (5, 4) and torch.equal(latent[:, :2], flow.get_latent(obs))
    assert torch.equal(latent[:, 2:], obs["policy"])


def test_best_of_several_chunks(make_runner, sources):
    """The base gives each candidate its own; without noise there would be nothing to choose."""
    cfg = small_config("residual", from_scratch=False, **MORE["residual"])
    cfg["actor"]["selector"] |= {"kind": "best_of_n", "num_candidates": 3}

    def build(kind: str) -> OnPolicyRunner:
        actor = cfg["actor"] | {"base": cfg["actor"]["base"] | {"source": sources[kind], "execute_code": True}}
        return OnPolicyRunner(PointMass(8), cfg | {"actor": actor}, log_dir=None, device="cpu")

    runner = build("function")
    runner.learn(2)
    assert play(runner.alg.actor, runner.env.get_observations()).shape == (8, H * A)
    with pytest.raises(ValueError, match=r"selector.kind = 'best_of_n'.*takes no noise"):
        build("plain function")


"""
Refusals.
"""


@pytest.mark.parametrize("kind", PLAIN)
def test_dsrl_stops_where_there_is_no_noise(make_runner, sources, kind):
    with pytest.raises(ValueError, match=r"base.source = .*whose noise is no input.*noise of size 4.*resip"):
        make_runner("dsrl", sources[kind])


@pytest.mark.parametrize("learner", ["score_flow", "rldt", "sac_flow", "qam", "fpo", "bc_gaussian"])
def test_learners_that_need_the_flow_stop(make_runner, sources, learner):
    with pytest.raises(ValueError, match=r"base.source = .*null for .*needs gradients of a flow.*dsrl, residual"):
        make_runner(learner, sources["function"])


@pytest.mark.parametrize("kind", CODE)
def test_programs_need_permission_which_no_checkpoint_gives(make_runner, sources, tmp_path, kind):
    with pytest.raises(ValueError, match=r"base.source = .*a program only if .*execute_code=true, or pass --execute_c"):
        make_runner("residual", sources[kind], execute_code=False)
    runner = make_runner("residual", sources[kind])
    runner.save(str(tmp_path / "model.pt"))
    with pytest.raises(ValueError, match="a program only if"):
        FlowPolicy.from_checkpoint(load_checkpoint(tmp_path / "model.pt"))


def test_another_file_in_the_place_of_the_base_is_refused(make_runner, tmp_path):
    """What was learnt upon one policy means nothing upon another; where the file lies does not matter."""
    make_checkpoint(tmp_path / "base.pt")
    runner = make_runner("residual", str(tmp_path / "base.pt"))
    runner.save(str(tmp_path / "model.pt"))
    (tmp_path / "moved.pt").write_bytes((tmp_path / "base.pt").read_bytes())
    moved = make_runner("residual", str(tmp_path / "moved.pt"))
    moved.load(str(tmp_path / "model.pt"))
    make_checkpoint(tmp_path / "base.pt", activation="tanh")
    with pytest.raises(ValueError, match="the file of SHA-256 [0-9a-f]{64}, upon which learning was done"):
        FlowPolicy.from_checkpoint(load_checkpoint(tmp_path / "model.pt"))
    other = make_runner("residual", str(tmp_path / "base.pt"))
    with pytest.raises(ValueError, match="another network: .*base.digest"):
        other.load(str(tmp_path / "model.pt"))


def test_a_flow_is_not_taken_for_what_was_learnt_upon_a_base(make_runner, sources):
    runner = make_runner("residual", sources["function"])
    with pytest.raises(ValueError, match="another network: .*base.source None vs tests.policies"):
        runner.load(sources["flow.pt"])


def test_bases_are_for_fine_tuning(sources):
    cfg = PretrainCfg()
    cfg.actor.base.source = sources["flow.pt"]
    with pytest.raises(ValueError, match="agent.actor.base.source = .*null in pretraining"):
        check_settings(cfg)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.pt", "base.source = 'nowhere.pt'.*Valid: a checkpoint of flow_rl, a folder.*check the path"),
        ("no_such_module:function", "no_such_module.*cannot be imported.*PYTHONPATH"),
        ("tests.policies.conftest:nobody", "nobody.*cannot be imported"),
        ("tests.policies.conftest:H", "not valid. Valid: a function"),
        (f"{__name__}:scalar", r"gives float for 1 observations. Valid: a tensor of chunks \(1, H, 2\)"),
        (f"{__name__}:wide", r"gives \(1, 5\) for 1 observations"),
        (f"{__name__}:short", r"whose chunks are \(1, 2\).*one with 2 or more actions of size 2"),
    ],
)
def test_what_is_no_policy_of_this_environment(make_runner, source, message):
    with pytest.raises(ValueError, match=message):
        make_runner("residual", source)


def scalar(obs):
    return 1.0


def wide(obs):
    return torch.zeros(len(obs["policy"]), 5)


def short(obs):
    return torch.zeros(len(obs["policy"]), 1, A)


def long(obs, noise):
    """Chunks of five actions, of which the first two are executed."""
    return torch.cat([straight(obs, noise), torch.full((len(noise), 3, A), 9.0)], dim=1)


def test_of_longer_chunks_the_beginning_is_executed(make_runner):
    actor = make_runner("residual", f"{__name__}:long").alg.actor
    obs, noise = {"policy": torch.randn(4, 2)}, torch.randn(4, H * A)
    found = actor.sample(actor.get_latent(obs), noise)
    torch.testing.assert_close(found, straight(obs, noise.view(4, H, A)).flatten(1).clamp(-1, 1))


def test_files_name_their_inputs(make_runner, tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return torch.cat([left, right], dim=-1)

    torch.jit.script(Odd()).save(tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"inputs of TorchScript.*\['left', 'right'\].*groups policy, or obs, images"):
        make_runner("residual", str(tmp_path / "odd.pt"))


def test_folders_that_are_no_packages(make_runner, tmp_path):
    with pytest.raises(ValueError, match="name the folder that flow-rl export wrote"):
        make_runner("residual", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"type": "diffusion", "horizon": 16}))
    with pytest.raises(ValueError, match=r"policy of LeRobot \(diffusion\).*Remedy: serve it.*ws://127.0.0.1:8000"):
        make_runner("residual", str(tmp_path))


def test_damaged_files(make_runner, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken.onnx cannot be read.*a model that onnxruntime runs"):
        make_runner("residual", str(tmp_path / "broken.onnx"))
    with pytest.raises(ValueError, match=r"broken.pt cannot be read"):
        make_runner("residual", str(tmp_path / "broken.pt"))


def test_bases_of_other_observations(make_runner, tmp_path):
    make_checkpoint(tmp_path / "other.pt", obs_groups={"arm": 2})
    with pytest.raises(ValueError, match=r"which sees \{'arm': \[2\]\}.*one that sees some of \{'policy': \[2\]\}"):
        make_runner("residual", str(tmp_path / "other.pt"))


def test_bases_are_not_compiled(sources):
    cfg = small_config("residual", from_scratch=False, **MORE["residual"]) | {"torch_compile_mode": "default"}
    cfg["actor"]["base"]["source"] = sources["flow.pt"]
    with pytest.raises(ValueError, match="torch_compile_mode = 'default'.*null upon a base"):
        OnPolicyRunner(PointMass(8), cfg, log_dir=None, device="cpu")


"""
Ranges and pictures.
"""


def fast(obs):
    """Actions in [-4, 4]."""
    return 8 * straight(obs)


def test_actions_beyond_what_is_known_are_told(make_runner, capsys):
    runner = make_runner("residual", f"{__name__}:fast")
    assert play(runner.alg.actor, runner.env.get_observations()).abs().max() == 1.0
    assert "reach" in (out := capsys.readouterr().out) and "agent.actor.base.limit" in out
    runner = make_runner("residual", f"{__name__}:fast", limit=4.0)
    obs = runner.env.get_observations()
    torch.testing.assert_close(play(runner.alg.actor, obs), fast(obs).flatten(1))
    assert "reach" not in capsys.readouterr().out


def sighted(obs):
    """Where the bright point is not: a policy of pictures of bytes."""
    assert obs["front"].dtype == torch.uint8 and obs["front"].shape[1:] == (3, 16, 16)
    bright = obs["front"][:, 0].float() / 255
    line = torch.linspace(-1.5, 1.5, 16)
    at = torch.stack([(bright.sum(dim=2) * line).sum(1), (bright.sum(dim=1) * line).sum(1)], dim=-1)
    return -0.5 * (at / bright.sum(dim=(1, 2)).clamp(min=1)[:, None]).unsqueeze(1).repeat(1, H, 1)


def test_bases_see_pictures_and_what_is_learnt_sees_vectors(make_runner):
    cfg = small_config("resip", from_scratch=False, **MORE["resip"])
    cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy"]}
    cfg["actor"]["base"] |= {"source": f"{__name__}:sighted", "execute_code": True}
    runner = OnPolicyRunner(FilmedPointMass(8), cfg, log_dir=None, device="cpu")
    runner.learn(1)
    env = runner.env
    toward = -env.position / env.position.norm(dim=-1, keepdim=True)
    chunk = play(runner.alg.actor, env.get_observations())[:, :2]
    assert (chunk * toward).sum(dim=-1).min() > 0.2
    cfg = small_config("resip", from_scratch=False, **MORE["resip"])
    cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy", "front"]}
    cfg["actor"]["base"] |= {"source": f"{__name__}:sighted", "execute_code": True}
    with pytest.raises(ValueError, match="agent.obs_groups.critic"):
        OnPolicyRunner(FilmedPointMass(8), cfg, log_dir=None, device="cpu")


def test_copies_share_a_base(make_runner, sources):
    actor = make_runner("resip", sources["function"]).alg.actor
    assert Anchor(actor).policy.base is actor.base


"""
Export.
"""


@pytest.mark.parametrize("learner", list(MORE))
@pytest.mark.parametrize("kind", ["flow.pt", "denoising.pt"])
def test_one_package_holds_the_base_and_what_was_learnt(make_runner, sources, tmp_path, learner, kind):
    runner = make_runner(learner, sources[kind])
    runner.learn(1)
    actor = runner.alg.get_policy().eval()
    for network in (actor.head, actor.prior.steering):
        if network is not None:
            torch.nn.init.normal_(network.net[-1].weight)
    package = export_package(actor, point_contract(), {"policy": torch.randn(6, 2)}, tmp_path / "package")
    assert compare(actor, PolicyPackage(package.folder), torch.randn(64, 2), {}) < 1e-5
    twin, obs, noise = torch.jit.load(package.folder / "policy.pt"), torch.randn(7, 2), torch.randn(7, H * A)
    expected = actor.action_normalizer.inverse(actor.sample(actor.get_latent({"policy": obs}), noise))
    torch.testing.assert_close(twin(obs, noise), expected)


@pytest.mark.parametrize("kind", ["package", "noisy.ts", "noisy.onnx", "function", "plain function"])
def test_what_cannot_be_exported_says_why(make_runner, sources, kind):
    actor = make_runner("residual", sources[kind]).alg.actor
    with pytest.raises(ValueError, match="a policy upon .* cannot be exported: .*Remedy: play it with evaluate"):
        actor.as_jit()
    with pytest.raises(ValueError, match="cannot be exported"):
        check_exportable(sources[kind])


def test_checkpoints_can_be_exported(sources):
    check_exportable(sources["flow.pt"])


def test_a_network_to_export_is_the_function():
    """Else the tests above would compare other policies."""
    obs, noise = torch.randn(3, 2), torch.randn(3, H * A)
    expected = straight({"policy": obs}, noise.view(3, H, A)).flatten(1)
    torch.testing.assert_close(Network()(obs, noise), expected)
