# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The runner on a robot: receding horizon, ensembling, noise, bounds, and holding when in doubt."""

import numpy as np
import pytest
import torch

from flow_rl.deploy import PolicyRunner
from flow_rl.deploy.export import export_package
from flow_rl.models import FlowPolicy
from tests.deploy.conftest import IMAGES, A, H, export, make_contract, make_policy, make_samples

PERIOD = 0.1
SEEN = {"eef_pos": np.array([2.0, 1.5, 2.5]), "gripper_qpos": np.array([2.0, 2.1])}


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {name: generator.integers(0, 256, shape, dtype=np.uint8) for name, shape in IMAGES.items()}


class Plans:
    """Stands for a package's network with plans that a test chooses."""

    def __init__(self, package, plans):
        self._package, self._plans = package, iter(plans)

    def __getattr__(self, name):
        return getattr(self._package, name)

    def infer(self, vectors, pictures, noise):
        return np.asarray(next(self._plans), dtype=np.float32)[None]


def planned(package, plans, **options) -> PolicyRunner:
    """A runner whose network says what it is told to."""
    runner = PolicyRunner(package, **options)
    runner.package = Plans(package, plans)
    return runner


def constant(value: float) -> np.ndarray:
    return np.full((H, A), value)


def test_a_chunk_with_times(package):
    chunk = PolicyRunner(package, noise="zero").act(SEEN, now=5.0)
    vectors = np.concatenate(list(SEEN.values())).astype(np.float32)[None]
    wanted = package.infer(vectors, [], np.zeros((1, H * A), dtype=np.float32))[0]
    np.testing.assert_allclose(chunk.actions, wanted.clip(-0.8, 0.8), atol=1e-6)
    np.testing.assert_allclose(chunk.times, [5.0, 5.1, 5.2, 5.3])
    assert not chunk.is_held and chunk.actions.dtype == np.float32


def test_receding_horizon(package):
    plan = np.linspace(-0.5, 0.5, H)[:, None] * np.ones(A)
    chunk = planned(package, [plan], execute=2).act(SEEN, now=0.0)
    np.testing.assert_allclose(chunk.actions, plan[:2], atol=1e-6)
    assert len(chunk.times) == 2


def test_ensembling_weighs_plans_for_the_same_time(package):
    """Three plans overlap; the oldest that still speaks of a moment weighs most."""
    runner = planned(package, [constant(v) for v in (0.1, 0.2, 0.6)], execute=1, ensemble=0.5)
    chunks = [runner.act(SEEN, now=PERIOD * i) for i in range(3)]
    weights = np.exp(-0.5 * np.arange(3))
    wanted = [0.1, weights[:2] @ [0.1, 0.2] / weights[:2].sum(), weights @ [0.1, 0.2, 0.6] / weights.sum()]
    np.testing.assert_allclose([chunk.actions[0, 0] for chunk in chunks], wanted, atol=1e-6)


def test_plans_end(package):
    """With three of four actions executed, a plan's last action meets the next plan's first, and then it is gone."""
    runner = planned(package, [constant(v) for v in (0.0, 0.4, 0.8)], execute=3, ensemble=0.0)
    actions = np.concatenate([runner.act(SEEN, now=0.3 * i).actions[:, 0] for i in range(3)])
    np.testing.assert_allclose(actions, [0, 0, 0, 0.2, 0.4, 0.4, 0.6, 0.8, 0.8], atol=1e-6)


def numbered(decision: int) -> np.ndarray:
    """A plan whose actions tell decision and place, within the limits."""
    return np.repeat(0.1 * decision + 0.01 * np.arange(H)[:, None], A, axis=1)


def test_plans_that_take_time_follow_what_is_executed_meanwhile(package):
    """The first answer reaches as far as the second one needs; that begins where it is ready."""
    runner = planned(package, [numbered(i) for i in range(1, 4)], execute=2, inference_delay=1)
    first, second, third = (runner.act(SEEN, now=0.2 * i) for i in range(3))
    np.testing.assert_allclose(first.actions[:, 0], [0.1, 0.11, 0.12], atol=1e-6)
    np.testing.assert_allclose(second.actions[:, 0], [0.21, 0.22], atol=1e-6)
    np.testing.assert_allclose(np.concatenate((first.times, second.times, third.times)), 0.1 * np.arange(7))


def test_a_hold_comes_in_the_place_of_what_is_pending(package):
    """The gripper stays as it was, not as it would have become; afterwards, it is as at the beginning."""
    runner = planned(package, [numbered(1), numbered(2)], execute=2, inference_delay=2)
    assert len(runner.act(SEEN, now=0.0).actions) == 4
    chunk = runner.act({}, now=0.2)
    np.testing.assert_allclose(chunk.actions, [[0.0, 0.0, 0.11]], atol=1e-6)
    np.testing.assert_allclose(chunk.times, [0.2])
    chunk = runner.act(SEEN, now=0.3)
    assert len(chunk.actions) == 4 and chunk.times[0] == pytest.approx(0.3)


def test_inpainting_is_told_what_is_executed_and_what_was_intended(package):
    """Actions that will be executed as they were bounded, then the former plan; after a hold, nothing."""
    seen, plans = [], iter([numbered(i) for i in range(1, 5)])
    options = {"execute": 2, "inference_delay": 1, "chunking": "inpainting"}
    runner = planned(package, [], **options, max_change=0.105)
    runner.package.infer = lambda vectors, pictures, noise, *joined: seen.append(joined) or next(plans)[None]
    for observations in (SEEN, SEEN, {}, SEEN):
        runner.act(observations, now=0.0)
    assert seen[0] == () and seen[2] == ()
    former, weights = seen[1]
    np.testing.assert_allclose(former[:, 0], [0.12, 0.13, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(former[:, A - 1], [0.8 - 3 * 0.105, 0.13, 0.0, 0.0], atol=1e-6)
    assert weights[0] == 1 and 0 < weights[1] < 1 and not weights[2:].any()


def test_noise_follows_its_seed(package):
    def play(seed, **options):
        runner = PolicyRunner(package, seed=seed, **options)
        return np.stack([runner.act(SEEN, now=float(i)).actions for i in range(3)])

    first = play(0)
    np.testing.assert_array_equal(first, play(0))
    assert np.abs(first - play(1)).max() > 0.01 and np.abs(first[0] - first[1]).max() > 0.01
    quiet = play(0, noise="zero")
    np.testing.assert_array_equal(quiet, play(1, noise="zero"))
    np.testing.assert_array_equal(quiet[0], quiet[1])


def test_noise_is_the_same_on_every_platform(package):
    """The numbers of PCG64 with seed 0, as numpy promises them."""
    seen = []
    runner = planned(package, [constant(0.0)])
    runner.package.infer = lambda vectors, pictures, noise: seen.append(noise) or constant(0.0)[None]
    runner.act(SEEN, now=0.0)
    np.testing.assert_allclose(seen[0][0, :3], [0.12573022, -0.13210486, 0.64042265], atol=1e-7)


def test_reset_begins_anew(package):
    runner = PolicyRunner(package, seed=3)
    first = runner.act(SEEN, now=0.0).actions
    runner.reset()
    assert np.abs(runner.act(SEEN, now=0.0).actions - first).max() > 1e-3  # noise goes on
    runner.reset(seed=3)
    np.testing.assert_array_equal(runner.act(SEEN, now=0.0).actions, first)


@pytest.mark.parametrize("ensemble", [None, 0.1])
def test_no_output_breaks_limits_or_rates(package, ensemble):
    """Whatever the network says, and however often the robot is held in between."""
    generator = np.random.default_rng(0)
    scales = 10.0 ** generator.integers(-3, 30, 200)
    plans = [scale * generator.standard_normal((H, A)) for scale in scales]
    plans[::17] = [constant(value) for value in (np.nan, np.inf, -np.inf) * 4]
    runner = planned(package, plans, execute=3, ensemble=ensemble, max_change=np.array([0.05, 0.3, 0.1]))
    last, held = np.array([0.0, 0.0, 0.8]), 0
    for i in range(200):
        chunk = runner.act(SEEN if i % 5 else {}, now=float(i))
        held += chunk.is_held
        for action in chunk.actions:
            assert np.isfinite(action).all() and np.abs(action).max() <= np.float32(0.8)
            assert (np.abs(action - last) <= np.array([0.05, 0.3, 0.1]) + 1e-6).all()
            last = action
    assert held >= 40


def test_the_contracts_rates_cannot_be_loosened(tmp_path):
    package = export(make_policy(), tmp_path / "package", max_change=[0.1] * A)
    chunk = planned(package, [constant(0.8)], max_change=0.5).act(SEEN, now=0.0)
    np.testing.assert_allclose(chunk.actions[:, 0], [0.1, 0.2, 0.3, 0.4], atol=1e-6)


FAULTS = {
    "observation 'gripper_qpos' is missing": {"gripper_qpos": None},
    "unknown observation 'elbow'": {"elbow": np.zeros(1)},
    r"observation 'eef_pos' has shape \(4,\) instead of \(3,\)": {"eef_pos": np.zeros(4)},
    "observation 'eef_pos' is not finite: .*nan": {"eef_pos": np.array([0.0, np.nan, 0.0])},
    "observation 'eef_pos' is not finite: .*inf": {"eef_pos": np.array([0.0, np.inf, 0.0])},
    "observation 'eef_pos' is no array of numbers": {"eef_pos": "here"},
}


@pytest.mark.parametrize(("reason", "change"), FAULTS.items(), ids=list(FAULTS))
def test_faults_hold_the_robot_and_are_named(package, reason, change):
    """Motion stops, the gripper stays as it was, and the next good observation goes on."""
    runner = planned(package, [constant(0.5), constant(0.4)])
    runner.act(SEEN, now=0.0)
    seen = {name: value for name, value in (SEEN | change).items() if value is not None}
    chunk = runner.act(seen, now=0.4)
    assert chunk.is_held
    np.testing.assert_allclose(chunk.actions, [[0.0, 0.0, 0.5]], atol=1e-6)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(chunk.reason)
    assert not runner.act(SEEN, now=0.5).is_held


CAMERA_FAULTS = {
    "camera 'wrist' is missing": None,
    r"camera 'wrist' gave float64 \(3, 8, 16\) instead of a picture, uint8": np.zeros((3, 8, 16)),
    r"camera 'wrist' gave uint8 \(8, 16, 3\) instead": np.zeros((8, 16, 3), dtype=np.uint8),
    "camera 'wrist' gave list instead": [0],
}


@pytest.mark.parametrize(("reason", "picture"), CAMERA_FAULTS.items(), ids=list(CAMERA_FAULTS))
def test_missing_and_strange_pictures_hold(vision_package, pictures, reason, picture):
    runner = PolicyRunner(vision_package)
    assert not runner.act(SEEN | pictures, now=0.0).is_held
    chunk = runner.act(SEEN | pictures | {"wrist": picture}, now=0.4)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(chunk.reason)


def test_old_observations_hold(package):
    runner = PolicyRunner(package, max_age=0.3)
    assert not runner.act(SEEN, stamp=9.8, now=10.0).is_held
    assert runner.act(SEEN, stamp=9.6, now=10.0).reason == "observation 'eef_pos' is more than 0.3 s old"
    stamps = {"eef_pos": 9.9, "gripper_qpos": 9.0}
    assert "'gripper_qpos' is more than 0.3 s old" in runner.act(SEEN, stamp=stamps, now=10.0).reason
    assert "'gripper_qpos' has no time stamp" in runner.act(SEEN, stamp={"eef_pos": 10.0}, now=10.0).reason
    assert runner.act(SEEN, stamp=float("nan"), now=10.0).is_held
    assert "'eef_pos' is more than 0.3 s ahead: clocks disagree" in runner.act(SEEN, stamp=11.0, now=10.0).reason


def test_absolute_actions_need_a_start(tmp_path):
    """Nothing is commanded before it is known where the robot is."""
    package = export(make_policy(), tmp_path / "package", start=None)
    runner = PolicyRunner(package)
    with pytest.raises(ValueError, match=r"reset\(start\)"):
        runner.act(SEEN, now=0.0)
    with pytest.raises(ValueError, match="start = None .*actions are absolute"):
        runner.reset()
    runner.reset(start=np.full(A, 0.3))
    np.testing.assert_allclose(runner.act({}, now=0.0).actions, [[0.0, 0.0, 0.3]], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"execute": 5}, "execute = 5 .*1 to 4"),
        ({"execute": 0}, "execute = 0 .*1 to 4"),
        ({"inference_delay": 3}, "inference_delay = 3 .*0 to 2"),
        ({"chunking": "rtc"}, "chunking = 'rtc' .*inpainting.*no gradient"),
        ({"ensemble": 0.1, "execute": 2, "inference_delay": 1}, "ensemble = 0.1 .*without inference_delay"),
        ({"ensemble": 0.1}, "ensemble = 0.1 .*execute < 4.*plan again"),
        ({"ensemble": -1.0, "execute": 1}, "ensemble = -1.0"),
        ({"noise": "pink"}, "noise = 'pink' .*'random', 'zero'"),
        ({"max_age": 0.0}, "max_age = 0.0 .*> 0"),
        ({"max_change": 0.0}, "max_change = 0.0 .*> 0"),
    ],
)
def test_settings_that_make_no_sense(package, options, message):
    with pytest.raises(ValueError, match=message):
        PolicyRunner(package, **options)


@pytest.fixture(scope="module")
def late_package(tmp_path_factory):
    """A policy that was trained under up to two control steps of latency, and sees the actions under way."""
    size = 3 + 2 * A + 1
    policy = FlowPolicy.from_settings({"obs_groups": {"policy": size}, "action_dim": A, "horizon": H}).eval()
    policy.fit(torch.randn(200, size), torch.rand(200, A) * 2 - 1)
    contract = make_contract(policy)
    (first, *_) = contract["observations"]
    sizes = {"eef_pos": 3, "last_actions": 2 * A, "latency": 1}
    contract["observations"] = [first | {"name": name, "shape": [size]} for name, size in sizes.items()]
    return export_package(policy, contract, make_samples(policy), tmp_path_factory.mktemp("late") / "package")


@pytest.mark.parametrize(("action_latency", "shown"), [(0, []), (1, [3]), (2, [3, 2])])
def test_the_runner_knows_which_actions_are_under_way(late_package, action_latency, shown):
    """The newest first, zeros in place of executed ones, and before anything was sent."""
    seen, plan = [], np.linspace(0.1, 0.4, H)[:, None] * np.ones(A)
    runner = planned(late_package, [plan, plan, plan], action_latency=action_latency)
    infer = runner.package.infer
    runner.package.infer = lambda vectors, *rest: seen.append(vectors[0]) or infer(vectors, *rest)
    for i in range(2):
        assert not runner.act({"eef_pos": np.ones(3)}, stamp={"eef_pos": float(i)}, now=float(i)).is_held
    runner.reset()
    runner.act({"eef_pos": np.ones(3)}, now=2.0)
    wanted = np.zeros((2, A))
    wanted[: len(shown)] = plan[shown]
    np.testing.assert_allclose(seen[1], np.concatenate((np.ones(3), wanted.ravel(), [action_latency])), atol=1e-6)
    for vector in (seen[0], seen[2]):
        np.testing.assert_allclose(vector, [1.0] * 3 + [0.0] * 2 * A + [action_latency], atol=1e-6)


def test_a_held_action_is_under_way_too(late_package):
    runner = planned(late_package, [constant(0.5)], action_latency=1)
    runner.act({"eef_pos": np.ones(3)}, now=0.0)
    held = runner.act({}, now=0.4)
    assert held.is_held
    np.testing.assert_allclose(runner._own_observations()["last_actions"][:A], held.actions[0])


def test_latency_must_be_said_or_given(late_package, package):
    """Without it the caller gives what the contract asks for, as an environment does."""
    runner = PolicyRunner(late_package)
    assert runner.act({"eef_pos": np.ones(3)}, now=0.0).reason == "observation 'last_actions' is missing"
    given = {"eef_pos": np.ones(3), "last_actions": np.zeros(2 * A), "latency": np.zeros(1)}
    assert not runner.act(given, now=0.0).is_held
    for wrong, number, valid in ((late_package, 3, "0 to 2"), (package, 1, "None: the policy does not")):
        with pytest.raises(ValueError, match=f"action_latency = {number} .*{valid}"):
            PolicyRunner(wrong, action_latency=number)
    assert "action_latency=N" in (late_package.folder / "README.md").read_text()
    assert "action_latency" not in (package.folder / "README.md").read_text()


def test_latency_report(package, vision_package, pictures):
    """Small networks on a busy machine; the targets are measured with real ones (benchmarks/RESULTS.md)."""
    runner, blind = PolicyRunner(vision_package), PolicyRunner(package)
    assert blind.latency()["calls"] == 0
    for i in range(50):
        runner.act(SEEN | pictures, now=float(i))
    report = runner.latency()
    assert report["calls"] == 50 and 0.0 < report["p50_ms"] <= report["p99_ms"]
