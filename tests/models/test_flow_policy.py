# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The flow policy: interface, normalisation, export twins, rebuilding."""

import importlib.metadata

import pytest
import torch
from tensordict import TensorDict

from flow_rl.flows import velocity_to_score
from flow_rl.models import FlowPolicy, check_compatible
from flow_rl.models.flow_policy import FORMER_NAMES
from flow_rl.utils.checkpoint import upgraded

OBS, H, A = 5, 4, 3
IMAGES = {"front": [3, 16, 16], "wrist": [3, 8, 16]}


def make(**settings) -> FlowPolicy:
    torch.manual_seed(0)
    defaults = {"obs_groups": {"policy": OBS}, "action_dim": A, "horizon": H, "hidden_dims": [32, 32]}
    policy = FlowPolicy.from_settings(defaults | settings)
    policy.fit(4 * torch.randn(100, OBS).clamp(-1, 1), torch.rand(100, A).mul(2.5).sub(0.5).clamp(-0.4, 1.9))
    return policy


def observe(num: int = 7) -> TensorDict:
    return TensorDict({"policy": torch.randn(num, OBS)}, batch_size=[num])


def test_actions_are_in_the_environments_units():
    """Normalised chunks lie in [-1, 1]; forward maps them to the demonstrated range."""
    policy, obs = make(), observe()
    chunk = policy.sample(policy.get_latent(obs))
    assert chunk.shape == (7, H * A) and chunk.abs().max() <= 1
    actions = policy(obs)
    assert actions.min() >= -0.4 - 1e-6 and actions.max() <= 1.9 + 1e-6


def test_without_demonstrations_actions_pass_as_they_are():
    """An unfitted policy acts in [-1, 1] exactly."""
    policy = FlowPolicy.from_settings({"obs_groups": {"policy": OBS}, "action_dim": A, "horizon": H})
    latent = policy.get_latent(observe())
    noise = torch.randn(7, H * A)
    chunk = policy.sample(latent, noise)
    assert torch.equal(policy.action_normalizer.inverse(chunk), chunk)


def test_initial_noise():
    """Random noise differs between calls, zero noise does not."""
    obs = observe()
    random, zero = make(), make(initial_noise="zero")
    assert not torch.equal(random(obs), random(obs))
    assert torch.equal(zero(obs), zero(obs))


def test_samples_for_viewers_leave_acting_alone():
    """They come from the caller's generator, differ, and are chunks that the policy might have chosen."""
    policy, obs = make(), observe()
    state = torch.get_rng_state()
    samples = policy.sample_chunks(obs, 3, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert samples.shape == (3, 7, H * A) and not samples.requires_grad
    noise = torch.randn(3, 7, H * A, generator=torch.Generator().manual_seed(1))
    for sample, start in zip(samples, noise, strict=True):
        expected = policy.action_normalizer.inverse(policy.sample(policy.get_latent(obs), start))
        torch.testing.assert_close(sample, expected)


def test_score_drift():
    """The flow follows v + alpha_i s; without coefficients it follows v."""
    policy, latent, noise = make(num_flow_steps=2), torch.randn(7, OBS), torch.randn(7, H * A)
    plain = policy.sample(latent, noise)
    policy.set_score_coefs([0.5, 0.2])
    x = noise
    for i, alpha in enumerate([0.5, 0.2]):
        t = torch.full((7, 1), i / 2)
        v = policy.velocity_field(x, t, latent)
        x = (x + (v + alpha * velocity_to_score(v, x, t)) / 2).clamp(-1, 1)
    torch.testing.assert_close(policy.sample(latent, noise), x)
    assert not torch.equal(plain, x)


def test_score_coefficients_of_another_number_of_steps():
    """Coefficients of N steps are interpolated at K steps; they vanish at t = 1."""
    policy = make(num_flow_steps=4)
    policy.set_score_coefs([1.0, 0.5])
    assert policy.score_coefs.tolist() == [1.0, 0.75, 0.5, 0.25]
    policy.set_score_coefs([0.9, 0.1, 0.2, 0.3])
    assert policy.score_coefs.tolist() == pytest.approx([0.9, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prediction": "x"},
        {"prediction": "residual"},
        {"prediction": "residual", "obs_scaling": "whitening"},
        {"backbone": {"kind": "transformer", "width": 16}, "head": {"kind": "residual"}},
        {"prior": {"kind": "steered"}, "head": {"kind": "residual"}},
        {"prior": {"kind": "steered", "bound": None}},
        {"sampler": {"kind": "denoising"}},
        {"sampler": {"kind": "denoising", "frozen_steps": 2}, "prediction": "residual"},
    ],
)
def test_torchscript_twin(settings, tmp_path):
    """The scripted twin, saved and loaded, computes what the policy computes from the same noise."""
    policy, obs, noise = make(**settings), observe(), torch.randn(7, H * A)
    policy.set_score_coefs([0.4, 0.3, 0.2, 0.1])
    torch.jit.script(policy.as_jit()).save(tmp_path / "policy.pt")
    twin = torch.jit.load(tmp_path / "policy.pt")
    expected = policy.action_normalizer.inverse(policy.sample(policy.get_latent(obs), noise))
    torch.testing.assert_close(twin(obs["policy"], noise), expected)
    twin.reset()


def run_onnx(twin, inputs: list[torch.Tensor], path) -> torch.Tensor:
    """Output of the exported graph, run by ONNX's own evaluator."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    names = {"input_names": twin.input_names, "output_names": twin.output_names}
    torch.onnx.export(twin, twin.get_dummy_inputs(), path, opset_version=18, verbose=False, **names)
    arrays = {name: tensor.numpy() for name, tensor in zip(twin.input_names, inputs, strict=True)}
    (actions,) = ReferenceEvaluator(onnx.load(path)).run(None, arrays)
    return torch.from_numpy(actions)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "sampler"), [("mlp", "flow"), ("transformer", "flow"), ("mlp", "denoising")])
def test_onnx_twin(tmp_path, kind, sampler):
    """The exported graph agrees with the policy."""
    settings = {"prediction": "residual", "obs_scaling": "whitening", "backbone": {"kind": kind, "width": 16}}
    settings |= {"sampler": {"kind": sampler}}
    policy, obs, noise = make(**settings), observe(1), torch.randn(1, H * A)
    policy.set_score_coefs([0.4, 0.3, 0.2, 0.1])
    actions = run_onnx(policy.as_onnx(verbose=False).eval(), [obs["policy"], noise], tmp_path / "policy.onnx")
    expected = policy.action_normalizer.inverse(policy.sample(policy.get_latent(obs), noise))
    torch.testing.assert_close(actions, expected.detach(), rtol=1e-4, atol=1e-5)


def test_rebuilding_from_settings():
    """Settings and state are all that is needed to get the same policy again."""
    policy = make(prediction="residual", obs_scaling="whitening", num_flow_steps=2, obs_clip=2.0)
    policy.set_score_coefs([0.5, 0.25])
    again = FlowPolicy.from_checkpoint(
        {"flow_rl": {"policy": policy.settings}, "actor_state_dict": policy.state_dict()}
    )
    latent, noise = policy.get_latent(observe()), torch.randn(7, H * A)
    assert again.settings == policy.settings
    assert torch.equal(again.sample(latent, noise), policy.sample(latent, noise))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_flow_steps": 0}, r"agent.actor.num_flow_steps = 0 .*>= 1.*use 4"),
        ({"prediction": "eps"}, r"agent.actor.prediction = 'eps' .*'v', 'x', 'residual'"),
        ({"obs_scaling": "zca"}, r"agent.actor.obs_scaling = 'zca' .*'range', 'whitening'"),
        ({"initial_noise": "ones"}, r"agent.actor.initial_noise = 'ones' .*'random', 'zero'"),
        ({"time_embedding_dim": 7}, r"agent.actor.time_embedding_dim = 7 .*even"),
        ({"intermediate_clip": 0.0}, r"agent.actor.intermediate_clip = 0.0 .*> 0 or null"),
        ({"score_clip": 0.0}, r"agent.actor.score_clip = 0.0 .*> 0"),
        ({"hidden_dims": []}, r"agent.actor.hidden_dims = \[\] "),
        ({"activation": "bump"}, r"'bump'.*mish"),
    ],
)
def test_wrong_settings(settings, message):
    """Each message names the field, the value and the valid choices."""
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_horizon_must_divide_the_action():
    """A chunk length that the environment's action cannot hold is named with the size it should divide."""
    with pytest.raises(ValueError, match=r"agent.actor.horizon = 5 .*a divisor of the environment's action size 28"):
        FlowPolicy(observe(), {"actor": ["policy"]}, "actor", 28, horizon=5)


"""
Slots.
"""

TRANSFORMER = {"kind": "transformer", "width": 16, "depth": 2, "num_heads": 2}
HEAD = {"kind": "residual", "scale": 0.2, "hidden_dims": [16]}


class LinearBackbone(torch.nn.Module):
    """Another package's."""

    def __init__(self, chunk, time_dim, latent, *, width, gain=1.0):
        super().__init__()
        size = chunk[0] * chunk[1]
        self.gain = gain
        self.net = torch.nn.Sequential(
            torch.nn.Linear(size + time_dim + sum(latent.values()), width), torch.nn.Linear(width, size)
        )

    def forward(self, x, time, latent):
        return self.gain * self.net(torch.cat([x, time, latent], dim=-1))


def test_backbones_are_chosen_by_name_and_rebuilt():
    """Settings and state give the same policy again; another backbone is another network."""
    policy = make(backbone=TRANSFORMER, prediction="residual")
    checkpoint = {"flow_rl": {"policy": policy.settings}, "actor_state_dict": policy.state_dict()}
    latent, noise = policy.get_latent(observe()), torch.randn(7, H * A)
    again = FlowPolicy.from_checkpoint(checkpoint)
    assert torch.equal(again.sample(latent, noise), policy.sample(latent, noise))
    with pytest.raises(ValueError, match=r"backbone.kind transformer vs mlp.*agent.actor.backbone.kind=transformer"):
        check_compatible(checkpoint["flow_rl"], make().settings)


def test_a_backbone_of_another_package_is_known_by_its_entry_point(monkeypatch):
    """It gets what its constructor names, options too; a file that names it does not say what code that is."""
    entry = importlib.metadata.EntryPoint("linear", f"{__name__}:LinearBackbone", "flow_rl.backbones")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else [])
    policy = make(backbone={"kind": "linear", "width": 24, "options": {"gain": 0.5}})
    assert policy.velocity.backbone.gain == 0.5 and policy.velocity.backbone.net[0].out_features == 24
    assert policy.sample(policy.get_latent(observe())).shape == (7, H * A)
    settings = policy.settings
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"agent.actor.backbone.kind = 'linear' .*'mlp', 'transformer'"):
        FlowPolicy.from_settings(settings)


def test_every_action_of_a_transformer_sees_state_chunk_and_time():
    """A change of any of them moves all actions of the chunk, once the gates have opened."""
    policy = make(backbone=TRANSFORMER)
    for block in policy.velocity.backbone.blocks:
        torch.nn.init.normal_(block.modulation.weight, std=0.5)
    x, t, latent = torch.randn(1, H * A), torch.full((1, 1), 0.5), torch.randn(1, OBS)
    jacobian = torch.autograd.functional.jacobian(lambda x: policy.velocity_field(x, t, latent), x)
    assert (jacobian.reshape(H, A, H, A).abs().amax(dim=(1, 3)) > 1e-6).all()
    base = policy.velocity_field(x, t, latent).reshape(H, A)
    for other in (policy.velocity_field(x, t + 0.25, latent), policy.velocity_field(x, t, latent + 1.0)):
        assert ((other.reshape(H, A) - base).abs().amax(dim=1) > 1e-6).all()


def test_a_transformers_size_does_not_grow_with_the_chunk():
    """But for the places of the actions."""
    short, long = (
        sum(p.numel() for p in make(backbone=TRANSFORMER, horizon=h).velocity.parameters()) for h in (H, 2 * H)
    )
    assert long - short == H * TRANSFORMER["width"]


def test_a_new_head_corrects_nothing_and_may_join_any_checkpoint():
    """Its correction is bounded by its scale, and it travels with the state."""
    plain, corrected = make(), make(head=HEAD)
    check_compatible({"policy": plain.settings}, corrected.settings)
    corrected.load_state_dict(plain.state_dict())
    latent, noise = plain.get_latent(observe()), torch.randn(7, H * A)
    chunk = plain.sample(latent, noise)
    assert torch.equal(corrected.sample(latent, noise), chunk)
    torch.nn.init.normal_(corrected.head.net[-1].weight, std=3.0)
    change = (corrected.sample(latent, noise) - chunk).abs().max()
    assert 0.1 < change <= 0.2 + 1e-6
    again = make(head=HEAD)
    again.load_state_dict(corrected.state_dict())
    assert torch.equal(again.sample(latent, noise), corrected.sample(latent, noise))
    with pytest.raises(ValueError, match="head.kind residual vs none"):
        check_compatible({"policy": corrected.settings}, plain.settings)


def test_states_from_before_the_slots_are_read():
    """Names of parameters and settings of earlier files find their place; what they did not say is the default."""
    policy = make(num_flow_steps=2, image_shapes=IMAGES, encoder={"output_dim": 12, "patch": 4, "width": 16})
    policy.set_score_coefs([0.5, 0.25])
    old_state = {}
    for key, value in policy.state_dict().items():
        for former, present in FORMER_NAMES.items():
            if key.startswith(present):
                key = former + key.removeprefix(present)
                break
        old_state[key] = value
    assert {"velocity.mlp.input.weight", "obs_normalizer.center", "score_coefs"} < old_state.keys()
    del old_state["score_coefs"]  # it was a setting once
    settings = policy.settings
    for slot in ("backbone", "base", "head", "prior", "sampler", "selector"):
        del settings[slot]
    facts = {**settings, "obs_dim": OBS, "score_coefs": [0.5, 0.25], "stage": "finetune", "learner": "score_flow"}
    checkpoint = upgraded({"flow_rl": facts, "actor_state_dict": old_state})
    assert checkpoint["flow_rl"] == {"policy": settings, "stage": "finetune", "learner": "score_flow"}
    again = FlowPolicy.from_checkpoint(checkpoint)
    assert again.settings == policy.settings
    assert all(torch.equal(again.state_dict()[key], value) for key, value in policy.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": {"kind": "os:abort"}}, r"agent.actor.backbone.kind = 'os:abort' .*'mlp', 'transformer'"),
        ({"backbone": {"kind": "transformer", "num_heads": 3}}, r"backbone.num_heads = 3 .*a divisor of width 128"),
        ({"backbone": {"options": {"kernel": 3}}}, r"backbone.options = \{'kernel': 3\} .*hidden_dims, activation"),
        ({"backbone": {"wide": 3}}, r"agent.actor = \['wide'\] .*kind, width, depth"),
        ({"head": {"kind": "residual", "scale": 0.0}}, r"agent.actor.head.scale = 0.0 .*in \(0, 1\]"),
        ({"head": {"kind": "gaussian"}}, r"agent.actor.head.kind = 'gaussian' .*'none', 'residual'"),
        ({"prior": {"kind": "steered", "bound": 0.0}}, r"agent.actor.prior.bound = 0.0 .*> 0 or null"),
        ({"prior": {"kind": "gaussian"}}, r"agent.actor.prior.kind = 'gaussian' .*'normal', 'steered'"),
    ],
)
def test_wrong_slots(settings, message):
    """No name in a file makes code run that is not installed under that name."""
    with pytest.raises(ValueError, match=message):
        make(**settings)


"""
Cameras.
"""


@pytest.fixture(params=["vit", "cnn"])
def vision_policy(request) -> FlowPolicy:
    encoder = {"kind": request.param, "output_dim": 12, "width": 16, "channels": [8, 8]}
    return make(image_shapes=IMAGES, encoder=encoder)


@pytest.fixture
def vision_obs() -> dict[str, torch.Tensor]:
    images = {name: torch.randint(0, 256, (6, *shape), dtype=torch.uint8) for name, shape in IMAGES.items()}
    return {"policy": torch.randn(6, OBS), **images}


def test_images_join_the_latent_and_gradients_reach_their_encoders(vision_policy, vision_obs):
    latent = vision_policy.get_latent(vision_obs)
    assert latent.shape == (6, OBS + 24) and vision_policy.latent_dim == OBS + 24
    torch.testing.assert_close(latent[:, :OBS], vision_policy.observer.normalizer(vision_obs["policy"]))
    vision_policy.sample(latent, torch.zeros(6, H * A)).sum().backward()
    assert all(weight.grad is not None for weight in vision_policy.observer.parameters())
    assert not torch.equal(vision_policy.get_latent(vision_obs, augment=True), latent)


def test_vision_policies_come_back_from_their_settings(vision_policy, vision_obs):
    again = FlowPolicy.from_settings(vision_policy.settings)
    again.load_state_dict(vision_policy.state_dict())
    assert again.settings == vision_policy.settings
    assert torch.equal(again.get_latent(vision_obs), vision_policy.get_latent(vision_obs))


@pytest.mark.filterwarnings("ignore")
def test_vision_twins(vision_policy, vision_obs, tmp_path):
    noise = torch.randn(6, H * A)
    latent = vision_policy.get_latent(vision_obs)
    expected = vision_policy.action_normalizer.inverse(vision_policy.sample(latent, noise))
    vectors, *images = vision_obs.values()
    scripted = torch.jit.script(vision_policy.as_jit())
    torch.testing.assert_close(scripted(vectors, images, noise), expected)
    twin = vision_policy.as_onnx()
    torch.testing.assert_close(twin(vectors, *images, noise), expected)
    assert twin.input_names == ["obs", "front", "wrist", "noise"]
    actions = run_onnx(twin, [tensor[:1] for tensor in (vectors, *images, noise)], tmp_path / "policy.onnx")
    torch.testing.assert_close(actions, expected[:1].detach(), atol=1e-5, rtol=1e-4)


def test_an_actor_of_images_only_is_refused():
    with pytest.raises(ValueError, match="agent.obs_groups .*robot's own state"):
        make(obs_groups={}, image_shapes=IMAGES)
