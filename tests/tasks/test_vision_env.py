# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Vision variants: what actor and critic see, cameras that move, pictures that follow the seed."""

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.configs import learners
from flow_rl.models import FlowPolicy

pytestmark = pytest.mark.sim

KITCHENS = [f"Kitchen-{name}" for name in ("Complete", "Partial", "Mixed")]
TASKS = [f"FlowRL-{name}-Franka-Vision" for name in ("Lift", "Can", "Square", *KITCHENS)]
NUM_ENVS = 4


@pytest.fixture(scope="module", params=[(TASKS[0], "newton_mjwarp"), (TASKS[1], "ovphysx")], ids="-".join)
def env(make_env, request):
    task, physics = request.param
    with make_env(horizon=1, num_envs=NUM_ENVS, task=task, physics=physics) as env, torch.inference_mode():
        yield env


@pytest.mark.parametrize("task", TASKS)
def test_all_learners_see_what_the_task_shows(task):
    cfg = entry_point(task, "env_cfg")()
    groups = vars(cfg.observations)
    for learner in learners():
        seen = entry_point(task, f"{learner}_cfg")().obs_groups
        assert seen["actor"] == ["policy", "front", "wrist"]
        assert all(name in groups for names in seen.values() for name in names)
    assert entry_point(task, "pretrain_cfg")().obs_keys == ["policy", "front", "wrist"]
    assert (cfg.scene.front.width, cfg.scene.wrist.height) == (96, 96)
    state = entry_point(task.removesuffix("-Vision"), "env_cfg")()
    assert state.scene.front is None and not hasattr(state.observations, "front")
    assert cfg.episode_length_s == state.episode_length_s


def test_the_actor_sees_pictures_and_feels_itself_only(env):
    obs, _ = env.reset(seed=0)
    for camera in ("front", "wrist"):
        assert obs[camera].shape == (NUM_ENVS, 3, 96, 96) and obs[camera].dtype == torch.uint8
        assert obs[camera].float().std() > 20, "not blank"
    assert obs["policy"].shape == (NUM_ENVS, 9)
    assert env.observation_manager.active_terms["policy"] == ["eef_pos", "eef_quat", "gripper_qpos"]
    assert torch.equal(obs["state"][:, :9], obs["policy"])
    assert obs["state"].shape[1] in (19, 23)


def test_pictures_follow_the_seed(env):
    first = {name: image.clone() for name, image in env.reset(seed=3)[0].items()}
    other = env.reset(seed=4)[0]["front"].clone()
    again = env.reset(seed=3)[0]
    for camera in ("front", "wrist"):
        assert torch.equal(again[camera], first[camera])
    assert not torch.equal(other, first["front"])
    pairs = [(i, j) for i in range(NUM_ENVS) for j in range(i)]
    assert all(not torch.equal(first["front"][i], first["front"][j]) for i, j in pairs), "each its own beginning"


def test_the_wrist_camera_moves_with_the_hand(env):
    """The gripper stays where it is in the picture while the table moves; from the front it is the other way round."""
    before = {name: image.float() for name, image in env.reset(seed=0)[0].items()}
    action = torch.zeros(NUM_ENVS, 7)
    action[:, 1], action[:, 2] = 0.6, 0.3
    for _ in range(5):
        after, *_ = env.step(action)
    change = {name: (after[name].float() - before[name]).abs().mean(dim=1) for name in ("front", "wrist")}  # (E, H, W)
    assert change["wrist"][:, :48].mean() > 2, "the scene"
    assert change["wrist"][:, -16:].mean() < 0.5 * change["wrist"][:, :48].mean(), "the hand itself"
    assert (change["front"] < 5).float().mean() > 0.5, "most of what the front camera sees stays"


def test_only_asked_for_pictures_are_rendered_again_at_the_ends_of_episodes(env, monkeypatch):
    """The others show what they showed when all were computed, and `reset` computes no last observations."""
    renders = {name: count_renders(monkeypatch, env.scene[name]) for name in ("front", "wrist")}
    still = torch.zeros(NUM_ENVS, 7)
    seen = {}
    for host in (False, True):
        env.reset(seed=0)
        monkeypatch.setattr(env.cfg, "compute_final_obs", host)
        env.episode_length_buf[2] = env.max_episode_length - 1
        before = {name: len(calls) for name, calls in renders.items()}
        _, _, _, truncated, extras = env.step(still)
        assert truncated.tolist() == [False, False, True, False]
        seen[host] = extras["final_obs"]
        assert [len(renders[name]) - before[name] for name in renders] == [1 + host] * 2
        assert "final_obs" not in env.step(still)[4]
    assert seen[False].keys() == {"policy", "state"} and seen[True].keys() == {*seen[False], "front", "wrist"}
    assert all(torch.equal(seen[True][name], group) for name, group in seen[False].items())
    monkeypatch.setattr(env.cfg, "compute_final_obs", False)
    monkeypatch.setattr(env, "final_obs_groups", {"state", "front"})
    env.reset(seed=0)
    assert "final_obs" not in env.extras
    env.episode_length_buf[2] = env.max_episode_length - 1
    final = env.step(still)[4]["final_obs"]
    assert final.keys() == {"state", "front"} and torch.equal(final["front"], seen[True]["front"])


def count_renders(monkeypatch, camera) -> list:
    """List that grows whenever a camera renders."""
    calls, render = [], camera._update_buffers_impl
    monkeypatch.setattr(camera, "_update_buffers_impl", lambda *args: (calls.append(None), render(*args)))
    return calls


def test_final_observations_of_unknown_groups_are_refused():
    cfg = entry_point(TASKS[0], "env_cfg")()
    cfg.final_obs_groups = ["front", "rear"]
    with pytest.raises(ValueError, match=r"env.final_obs_groups = 'rear' .*'front'"):
        cfg.validate_config()


def test_a_policy_fits_the_environment(env):
    obs, _ = env.reset(seed=0)
    shapes = {name: list(obs[name].shape[1:]) for name in ("front", "wrist")}
    settings = {"obs_groups": {"policy": 9}, "image_shapes": shapes, "action_dim": 7, "horizon": 1}
    with torch.inference_mode(False):
        policy = FlowPolicy.from_settings(settings)
    actions = policy(obs)
    assert actions.shape == (NUM_ENVS, 7) and torch.isfinite(actions).all()


def test_a_patch_that_does_not_divide_the_image_is_refused():
    settings = {"obs_groups": {"policy": 9}, "image_shapes": {"front": [3, 96, 96]}, "action_dim": 7, "horizon": 4}
    with pytest.raises(ValueError, match=r"agent.actor.encoder.patch = 7 .*96 x 96"):
        FlowPolicy.from_settings(settings | {"encoder": {"patch": 7}})
