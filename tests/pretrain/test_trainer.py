# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pretraining learns distributions, not means, and leaves a checkpoint that says everything about the policy."""

import contextlib
import dataclasses
import time

import numpy as np
import pytest
import torch

from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.demos.chunks import ChunkDataset
from flow_rl.demos.reader import Demos
from flow_rl.flows import level_time
from flow_rl.models import FlowPolicy
from flow_rl.pretrain import trainer
from flow_rl.utils.checkpoint import load_checkpoint

HORIZON = 2


def small_cfg(**values) -> PretrainCfg:
    """Settings that train within seconds."""
    cfg = PretrainCfg(seed=0, device="cpu", num_steps=400, batch_size=128, warmup_steps=10, log_interval=100)
    cfg.actor.horizon, cfg.actor.hidden_dims, cfg.actor.num_flow_steps = HORIZON, [64, 64, 64], 10
    for name, value in values.items():
        setattr(cfg, name, value)
    return cfg


@pytest.fixture
def two_modes() -> Demos:
    """Episodes that go left (actions near 3) or right (near 7) for the same observations; a second action is 0."""
    rng = np.random.default_rng(0)
    num, length = 64, 6
    side = np.where(np.arange(num) % 2 == 0, 3.0, 7.0).repeat(length)
    actions = np.stack((side + 0.1 * rng.normal(size=side.size), np.zeros_like(side)), axis=1)
    # neighbouring episodes share their observations, which therefore say nothing about the side
    obs = rng.normal(size=(num // 2, 1, 3)).repeat(2 * length, axis=1).reshape(-1, 3)
    return Demos(obs.astype(np.float32), actions.astype(np.float32), np.full(num, length))


def run(cfg, demos, tmp_path, **options) -> tuple[dict, FlowPolicy, dict]:
    """Pretrain; return the metrics, the saved policy and the checkpoint."""
    metrics = trainer.pretrain(cfg, demos, output=tmp_path / "p.pt", progress=False, **options)
    checkpoint = load_checkpoint(tmp_path / "p.pt")
    return metrics, FlowPolicy.from_checkpoint(checkpoint), checkpoint


@pytest.mark.parametrize("sampler", ["flow", "denoising"])
@pytest.mark.parametrize(("prediction", "scaling"), [("v", "range"), ("x", "range"), ("residual", "whitening")])
def test_both_modes_appear_and_nothing_between_them(two_modes, tmp_path, prediction, scaling, sampler):
    cfg = small_cfg(num_steps=1000, learning_rate=3e-3, validation_fraction=0.0)
    cfg.actor.prediction, cfg.actor.obs_scaling, cfg.actor.sampler.kind = prediction, scaling, sampler
    _, policy, _ = run(cfg, two_modes, tmp_path)
    torch.manual_seed(1)
    obs = torch.from_numpy(two_modes.obs).repeat(3, 1)
    with torch.no_grad():
        chunks = policy({"policy": obs}).reshape(len(obs), HORIZON, 2)
    first, second = chunks[:, 0, 0], chunks[:, 1, 0]
    left, right = (first - 3).abs() < 0.7, (first - 7).abs() < 0.7
    assert 0.3 < left.float().mean() < 0.7 and 0.3 < right.float().mean() < 0.7
    assert (left | right).float().mean() > 0.9
    assert ((first - second).abs() < 1.0).float().mean() > 0.95, "a chunk keeps to one mode"
    assert chunks[..., 1].abs().max() < 0.3


def test_validation_loss_is_measured_on_held_out_episodes(tmp_path):
    """Actions that only memory can tell: the training loss falls below the held-out one."""
    rng = np.random.default_rng(0)
    demos = Demos(
        rng.normal(size=(40, 8)).astype(np.float32), rng.normal(size=(40, 1)).astype(np.float32), np.full(8, 5)
    )
    metrics, _, _ = run(small_cfg(validation_fraction=0.25), demos, tmp_path)
    assert metrics["loss"] < 0.7 * metrics["validation_loss"]
    metrics, _, _ = run(small_cfg(validation_fraction=0.0, num_steps=5), demos, tmp_path)
    assert "validation_loss" not in metrics


def test_validation_does_not_touch_the_training_draws(two_modes):
    cfg = small_cfg()
    policy, data = trainer.build_policy(cfg, two_modes), ChunkDataset(two_modes, HORIZON)
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    losses = {trainer.validation_loss(policy, cfg, data), trainer.validation_loss(policy, cfg, data)}
    assert torch.equal(torch.rand(4), expected) and len(losses) == 1


@pytest.mark.parametrize(("device", "kept"), [("cuda:0", ["cuda:0"]), ("cuda", ["cuda"]), ("cpu", [])])
def test_validation_keeps_the_generator_of_the_device_that_draws(two_modes, monkeypatch, device, kept):
    """Also for data that lives on the CPU because it does not fit, as pictures often do."""
    seen = []

    @contextlib.contextmanager
    def fork_rng(devices):
        seen.extend(devices)
        yield

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    monkeypatch.setattr(trainer, "chunk_loss", lambda *_: torch.zeros(()))
    policy = trainer.build_policy(small_cfg(), two_modes)
    trainer.validation_loss(policy, small_cfg(device=device), ChunkDataset(two_modes, HORIZON))
    assert [str(device) for device in seen] == kept


@pytest.mark.gpu
def test_validation_does_not_touch_the_training_draws_of_a_gpu(two_modes):
    cfg = small_cfg(device="cuda:0")
    policy, data = trainer.build_policy(cfg, two_modes), ChunkDataset(two_modes, HORIZON)  # on the CPU
    data.device = torch.device(cfg.device)
    before = torch.cuda.get_rng_state()
    trainer.validation_loss(policy, cfg, data)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_policy_knows_the_range_of_the_data(two_modes):
    policy = trainer.build_policy(small_cfg(), two_modes)
    low, high = (policy.action_normalizer.inverse(torch.full((4,), v)) for v in (-1.0, 1.0))
    actions = torch.from_numpy(two_modes.actions)
    assert low[[0, 2]].tolist() == pytest.approx([float(actions[:, 0].min())] * 2)
    assert high[[0, 2]].tolist() == pytest.approx([float(actions[:, 0].max())] * 2)
    assert policy.get_latent({"policy": torch.from_numpy(two_modes.obs)}).abs().max() <= 1.0 + 1e-6


@pytest.mark.parametrize("scaling", ["range", "whitening"])
def test_percentiles_keep_one_sample_from_setting_the_scale_of_all(two_modes, tmp_path, scaling):
    """One action and one observation of a million; what is played stays where the others are."""
    two_modes.actions[100, 0] = two_modes.obs[250, 2] = 1e6
    cfg = small_cfg(num_steps=20)
    cfg.actor.obs_scaling = scaling
    spoilt = trainer.build_policy(cfg, two_modes)
    actions, obs = trainer.data_warnings(cfg, two_modes)[::-1]
    assert "demo_16 step 4 [0] = 1e+06" in actions and "demo_41 step 4 [2] = 1e+06" in obs
    cfg.normalization = "quantile"
    assert trainer.data_warnings(cfg, two_modes) == []
    _, policy, _ = run(cfg, two_modes, tmp_path)
    latents = [each.get_latent({"policy": torch.from_numpy(two_modes.obs)}) for each in (spoilt, policy)]
    spreads = [latent[:, 2].sort().values[10:-10].std() for latent in latents]
    if scaling == "range":
        assert spreads[0] < 1e-4, "without, all others look the same"
    assert spreads[1] > 0.2
    low, high = (policy.action_normalizer.inverse(torch.full((4,), v)) for v in (-1.0, 1.0))
    assert 2.5 < low[0] < 3.5 and 6.5 < high[0] < 7.5
    with torch.no_grad():
        assert policy({"policy": torch.from_numpy(two_modes.obs)}).abs().max() < 8.0


def test_what_stands_past_the_end_of_an_episode_is_not_learnt(two_modes):
    """Of episodes of one sample only the first action of a chunk is data."""
    demos = dataclasses.replace(two_modes, lengths=np.ones(len(two_modes.obs), dtype=int), names=[])
    policy = trainer.build_policy(small_cfg(), demos)
    trainer.chunk_loss(policy, small_cfg(), *ChunkDataset(demos, HORIZON).sample(64)).backward()
    first, second = policy.velocity.backbone.net.output.weight.grad.split(2)
    assert first.abs().sum(dim=1).min() > 0 and not second.any()


def test_same_seed_gives_the_same_policy_however_often_it_is_measured(two_modes, tmp_path):
    states = []
    for seed, interval in ((0, 10), (0, 17), (1, 10)):
        cfg = small_cfg(seed=seed, num_steps=40, log_interval=interval, validation_fraction=0.25)
        states.append(
            run(cfg, two_modes, tmp_path)[2]["actor_state_dict"]["sampler.velocity.backbone.net.output.weight"]
        )
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_checkpoint_is_the_runners_and_describes_itself(two_modes, tmp_path):
    _, _, checkpoint = run(small_cfg(num_steps=5), two_modes, tmp_path, task="Toy")
    assert {"actor_state_dict", "critic_state_dict", "optimizer_state_dict", "iter", "infos"} <= checkpoint.keys()
    facts = checkpoint["flow_rl"]
    assert (facts["stage"], facts["task"], facts["num_demos"]) == ("pretrain", "Toy", 64)
    policy = facts["policy"]
    assert (policy["obs_groups"], policy["action_dim"], policy["horizon"]) == ({"policy": 3}, 2, HORIZON)


def test_average_lies_between_and_forgets_the_beginning():
    average, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = average.weight.clone()
    trainer.update_average(average, model, decay=0.75)
    torch.testing.assert_close(average.weight, 0.75 * before + 0.25 * model.weight)
    trainer.update_average(average, model, decay=0.0)
    assert torch.equal(average.weight, model.weight)


def test_learning_rate_warms_up_and_falls_to_its_final_value():
    cfg = small_cfg(num_steps=100, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [trainer.learning_rate(cfg, step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1e-4, rel=0.01) and rates[-1] == pytest.approx(1e-5)
    assert np.argmax(rates) == 9 and all(np.diff(rates[10:]) < 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_steps", 0),
        ("batch_size", 0),
        ("save_interval", 0),
        ("learning_rate", -1.0),
        ("max_grad_norm", 0.0),
        ("ema_decay", 1.0),
        ("time_law", "sometimes"),
        ("normalization", "mean"),
    ],
)
def test_wrong_setting_stops_before_anything_is_written(two_modes, tmp_path, name, value):
    with pytest.raises(ValueError, match=f"agent.{name} = {value!r}.*Valid.*Remedy"):
        run(small_cfg(**{name: value}), two_modes, tmp_path, log_dir=tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("law", "frozen", "message"),
    [
        ("beta", 0, "agent.time_law = 'beta' .*levels of noise"),
        ("uniform", 2, r"sampler.frozen_steps = 2 .*fine-tuning"),
    ],
)
def test_what_denoising_does_not_know_is_refused(two_modes, tmp_path, law, frozen, message):
    cfg = small_cfg(time_law=law)
    cfg.actor.sampler.kind, cfg.actor.sampler.frozen_steps = "denoising", frozen
    with pytest.raises(ValueError, match=message):
        run(cfg, two_modes, tmp_path)


def test_denoising_is_learnt_at_its_levels(two_modes):
    """All alike: from almost pure noise, where flow times are least, to the level before the chunk."""
    cfg = small_cfg()
    cfg.actor.sampler.kind = "denoising"
    policy = trainer.build_policy(cfg, two_modes)
    times = policy.sampler.training_times(20000, "uniform")
    found, counts = times.unique(return_counts=True)
    torch.testing.assert_close(found, level_time(policy.sampler.levels[1:]).flatten().flip(0))
    assert counts.min() > 120 and counts.max() < 280


def test_a_policy_that_is_not_finite_is_never_saved(two_modes, tmp_path):
    cfg = small_cfg(learning_rate=1e30, log_interval=50, save_interval=70)
    with pytest.raises(ValueError, match=r"parameters at step 50 .*Remedy: lower agent.learning_rate"):
        run(cfg, two_modes, tmp_path)
    with pytest.raises(ValueError, match="parameters at step 70 "):
        run(small_cfg(learning_rate=1e30, log_interval=1000, save_interval=70), two_modes, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_what_was_learnt_beside_the_output(two_modes, tmp_path, monkeypatch):
    """A checkpoint like any other; a run that reaches its end leaves only the output."""
    log = trainer.MetricLogger.log

    def interrupt(self, metrics, step):
        log(self, metrics, step)
        if step == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.MetricLogger, "log", interrupt)
    cfg = small_cfg(num_steps=40, log_interval=10, save_interval=20)
    with pytest.raises(KeyboardInterrupt):
        run(cfg, two_modes, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["p-unfinished.pt"]
    kept = load_checkpoint(tmp_path / "p-unfinished.pt")
    assert kept["flow_rl"]["step"] == 20 and FlowPolicy.from_checkpoint(kept).horizon == HORIZON
    monkeypatch.undo()
    _, _, checkpoint = run(cfg, two_modes, tmp_path)
    assert checkpoint["flow_rl"]["step"] == 40
    assert [path.name for path in tmp_path.iterdir()] == ["p.pt"]


def test_curves_go_to_tensorboard(two_modes, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(small_cfg(num_steps=30, log_interval=10), two_modes, tmp_path, log_dir=tmp_path / "logs")
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("Pretrain/validation_loss")] == [10, 20, 30]
    assert {"Pretrain/loss", "Pretrain/learning_rate"} <= set(events.Tags()["scalars"])


@pytest.mark.slow
def test_wandb_is_used_when_asked(two_modes, tmp_path, wandb_folder):
    (tmp_path / "logs").mkdir()
    cfg = small_cfg(num_steps=20, log_interval=10, logger="wandb")
    run(cfg, two_modes, tmp_path, log_dir=tmp_path / "logs")
    (log,) = (tmp_path / "logs").rglob("*.wandb")
    deadline = time.monotonic() + 60.0
    while b"Pretrain/validation_loss" not in log.read_bytes():
        assert time.monotonic() < deadline, "wandb's own process writes on after the run has ended, but not for long"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "cnn"])
def test_a_seeing_policy_beats_a_blind_one(tmp_path, kind):
    """The action is where a bright dot is; vectors say nothing about it."""
    rng = np.random.default_rng(0)
    place = rng.integers(0, 16, size=400)
    images = np.zeros((400, 3, 16, 16), np.uint8)
    images[np.arange(400), :, 8, place] = 255
    actions = np.stack((place / 16.0, np.zeros(400)), axis=1).astype(np.float32)
    demos = Demos(np.zeros((400, 3), np.float32), actions, np.full(400, 1), images={"front": images})
    cfg = small_cfg(num_steps=250, batch_size=64, learning_rate=3e-3, validation_fraction=0.2, log_interval=250)
    cfg.actor.encoder.kind, cfg.actor.encoder.patch, cfg.actor.encoder.shift = kind, 4, 0
    cfg.actor.encoder.width = cfg.actor.encoder.output_dim = 32
    cfg.actor.encoder.channels = [16, 16]
    seeing, policy, checkpoint = run(cfg, demos, tmp_path)
    blind, *_ = run(cfg, dataclasses.replace(demos, images={}), tmp_path)
    assert seeing["validation_loss"] < 0.7 * blind["validation_loss"]
    assert checkpoint["flow_rl"]["policy"]["image_shapes"] == {"front": [3, 16, 16]}
    torch.manual_seed(0)
    with torch.no_grad():
        chunk = policy({"policy": torch.zeros(400, 3), "front": torch.from_numpy(images)})
    assert (chunk[:, 0] - torch.from_numpy(actions[:, 0])).abs().median() < 0.1
