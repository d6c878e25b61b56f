# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pictures differ between environments if that is asked for, follow the seed, and nothing else changes."""

import itertools
import math

import pytest
import torch

pytestmark = pytest.mark.sim

NUM_ENVS = 4
CAMERAS = ("front", "wrist")
CASES = [("FlowRL-Lift-Franka-Vision", "newton_mjwarp"), ("FlowRL-Can-Franka-Vision", "ovphysx")]


def begin_alike(env) -> None:
    """Let all episodes begin in the same state."""
    for name, key in (("reset_arm", "position_range"), ("reset_object", "pose_range")):
        term = env.event_manager.get_term_cfg(name)
        term.params[key] = (0.0, 0.0) if name == "reset_arm" else {}


def difference(images: torch.Tensor) -> list[float]:
    """Mean differences [of 255] between the pictures (E, C, H, W) of any two environments."""
    return [float((images[i].float() - images[j].float()).abs().mean()) for i, j in pairs()]


def pairs() -> itertools.combinations:
    return itertools.combinations(range(NUM_ENVS), 2)


@pytest.mark.parametrize(("task", "engine"), CASES, ids="-".join)
def test_pictures_of_equal_states_are_equal_without_the_preset(make_env, task, engine):
    with make_env(1, NUM_ENVS, task=task, physics=engine) as env, torch.inference_mode():
        assert not {"clutter", "front_pose", "table_colour"} & set(sum(env.event_manager.active_terms.values(), []))
        begin_alike(env)
        obs, _ = env.reset(seed=0)
        for camera in CAMERAS:
            # environments stand 2.5 m apart: rays that meet an edge may fall to either side of it
            assert max(difference(obs[camera])) < 0.5
        with pytest.raises(ValueError, match="identical camera intrinsics across environments"):
            matrices = env.scene["front"].data.intrinsic_matrices.torch.clone()
            matrices[1, :2, :2] *= 1.1
            env.scene["front"].set_intrinsic_matrices(matrices)


@pytest.mark.parametrize(("task", "engine"), CASES, ids="-".join)
def test_the_preset_varies_pictures_and_nothing_else(make_env, task, engine):
    with make_env(1, NUM_ENVS, task=task, physics=engine) as env, torch.inference_mode():
        begin_alike(env)
        env.reset(seed=0)
        plain = env.step(torch.zeros(NUM_ENVS, 7))[0]["state"]
    with make_env(1, NUM_ENVS, "presets=varied_pictures", task=task, physics=engine) as env, torch.inference_mode():
        begin_alike(env)
        first = {name: group.clone() for name, group in env.reset(seed=3)[0].items()}
        other = {name: group.clone() for name, group in env.reset(seed=4)[0].items()}
        again = env.reset(seed=3)[0]
        for camera in CAMERAS:
            assert first[camera].dtype == torch.uint8 and first[camera].shape == (NUM_ENVS, 3, 96, 96)
            assert min(difference(first[camera])) > 3.0, "between environments"
            assert torch.equal(again[camera], first[camera]), "the seed decides"
            assert not torch.equal(other[camera], first[camera]), "between episodes"
        torch.testing.assert_close(env.step(torch.zeros(NUM_ENVS, 7))[0]["state"], plain)
        check_lenses(env)
        check_cameras(env)
        check_clutter(env)


def check_lenses(env) -> None:
    """They are as long as allowed, and others in each environment and episode."""
    for camera in CAMERAS:
        (term,) = env.observation_manager._group_obs_term_cfgs[camera]
        (lens,) = term.modifiers
        focal = lens.func._focal.clone()
        assert focal.min() > 1.0 and focal.max() <= 1.15 and len(focal.unique()) == NUM_ENVS
        env.reset(seed=5)
        assert not torch.isclose(lens.func._focal, focal).any()
        env.reset(seed=3)


def check_cameras(env) -> None:
    """They are off their nominal poses by no more than allowed, and the wrist's stays fixed to the hand."""
    from isaaclab.utils.math import quat_error_magnitude, subtract_frame_transforms

    hand = env.scene["robot"].body_names.index("panda_hand")
    nominal = {name: env.cfg.scene.__dict__[name].offset for name in CAMERAS}
    poses = {}
    for _ in range(2):
        data = env.scene["robot"].data
        base = {
            "front": (env.scene.env_origins, torch.tensor([[0.0, 0.0, 0.0, 1.0]]).expand(NUM_ENVS, 4)),
            "wrist": (data.body_link_pos_w.torch[:, hand], data.body_link_quat_w.torch[:, hand]),
        }
        for name in CAMERAS:
            seen = env.scene[name].data
            pos, quat = subtract_frame_transforms(*base[name], seen.pos_w.torch, seen.quat_w_opengl.torch)
            offset = nominal[name]
            assert (pos - torch.tensor(offset.pos)).abs().max() < 0.01 * math.sqrt(3) + 1e-4
            turn = quat_error_magnitude(quat, torch.tensor([offset.rot]).expand(NUM_ENVS, 4))
            assert turn.min() > 1e-3 and turn.max() < 0.03 * math.sqrt(3) + 1e-3
            assert all(not torch.allclose(pos[i], pos[j], atol=1e-4) for i, j in pairs())
            if name in poses:
                torch.testing.assert_close(pos, poses[name], atol=1e-4, rtol=0)
            poses[name] = pos
        action = torch.zeros(NUM_ENVS, 7)
        action[:, 1] = 0.5
        env.step(action)


def check_clutter(env) -> None:
    """It lies beside the workspace, elsewhere in each environment."""
    term = env.event_manager.get_term_cfg("clutter").func
    places = term._poses[term._rows, :2] - env.scene.env_origins[:, :2]  # (S, E, 2)
    assert places.shape == (4, NUM_ENVS, 2)
    assert places[..., 0].min() > 0.2 and places[..., 0].max() < 0.7
    assert places[..., 1].abs().min() > 0.36 and places[..., 1].abs().max() < 0.46
    assert all(not torch.isclose(places[:, i], places[:, j]).any() for i, j in pairs())


def test_enlarging_shows_the_middle():
    from flow_rl_tasks.mdp.pictures import enlarge

    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(enlarge(images, torch.ones(3)), images)
    enlarged = enlarge(images, torch.tensor([1.0, 2.0, 2.0]))
    assert torch.equal(enlarged[0], images[0])
    middle = torch.nn.functional.interpolate(images[1:, :, 8:24, 8:24].float(), size=(32, 32), mode="bilinear")
    inner = slice(2, -2)  # at the border the neighbours differ
    assert (enlarged[1:, :, inner, inner].float() - middle[..., inner, inner]).abs().max() <= 0.5 + 1e-3


def test_state_variants_do_not_know_the_preset(make_env):
    with pytest.raises((ValueError, SystemExit), match="varied_pictures"):
        make_env(1, 2, "presets=varied_pictures").__enter__()
