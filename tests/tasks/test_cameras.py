# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Cameras of simulation and of deployment give the same pictures, of the size that is asked for."""

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.deploy.preprocessing import Preprocessing

pytestmark = pytest.mark.sim

TASK = "FlowRL-Lift-Franka-Vision"


def test_pictures_are_what_a_deployed_camera_gives(make_env):
    """Large frames, preprocessed as on a robot, are the supersampled pictures, and nearly the plain ones."""
    frames, means, plain = (
        first_obs(make_env, *words) for words in (["env.image_size=384"], ["env.supersampling=4"], [])
    )
    preprocessing = Preprocessing(size=(96, 96), colour_order="rgb")
    for camera in ("front", "wrist"):
        assert frames[camera].shape == (2, 3, 384, 384)
        pictures = torch.stack([torch.from_numpy(preprocessing(f.permute(1, 2, 0).numpy())) for f in frames[camera]])
        assert pictures.shape == means[camera].shape == plain[camera].shape == (2, 3, 96, 96)
        assert (pictures.float() - means[camera].float()).abs().max() <= 1, "rounding at most"
        # one ray per pixel meets either side of an edge, where the mean of 16 has both
        difference = (pictures.float() - plain[camera].float()).abs()
        assert difference.mean() < 2.0 and difference.median() == 0


def first_obs(make_env, *words: str) -> dict[str, torch.Tensor]:
    """First observations of two environments made with these words of the command line."""
    with make_env(1, 2, *words, task=TASK) as env, torch.inference_mode():
        return {name: group.clone() for name, group in env.reset(seed=0)[0].items()}


def test_cameras_follow_what_is_overridden():
    def cameras(**fields):
        cfg = entry_point(TASK, "env_cfg")()
        for name, value in fields.items():
            setattr(cfg, name, value)
        cfg.validate_config()
        return cfg.scene.front, cfg.scene.wrist

    default = cameras()
    assert [(camera.width, camera.height) for camera in cameras(image_size=64)] == [(64, 64)] * 2
    moved = cameras(front_eye=(1.0, 0.0, 0.5))
    assert moved[0].offset.pos == (1.0, 0.0, 0.5) and moved[1].offset == default[1].offset
    cfg = entry_point(TASK, "env_cfg")()
    cfg.scene.front.width = 128
    cfg.validate_config()
    assert cfg.scene.front.width == 128, "a camera may be overridden itself"
    for name, value in (("image_size", 0), ("supersampling", 0)):
        with pytest.raises(ValueError, match=f"env.{name} = 0 .*>= 1.*Remedy"):
            cameras(**{name: value})


def test_cameras_follow_overrides_of_the_command_line_and_their_own_stay():
    from isaaclab_tasks.utils import resolve_task_config

    def settled(*words: str):
        cfg, _ = resolve_task_config("FlowRL-Transport-DualFranka-Vision", None, overrides=list(words))
        cfg.validate()
        cfg.validate()  # environments do so again
        return cfg

    entry_point(TASK, "env_cfg")
    default = settled()
    cfg = settled("env.wrists.wrist=Robot_2", "env.scene.front.width=64", "env.supersampling=2")
    assert cfg.scene.wrist.prim_path == default.scene.wrist.prim_path.replace("/Robot/", "/Robot_2/")
    assert (cfg.scene.front.width, cfg.scene.front.height, cfg.scene.wrist.width) == (64, 192, 192)
    assert cfg.observations.front.rgb.params["factor"] == 2
    cfg = settled("env.scene.front.offset.pos=[1.0,0.0,0.5]", "env.image_size=48", "presets=varied_pictures")
    assert list(cfg.scene.front.offset.pos) == [1.0, 0.0, 0.5] and cfg.scene.front.width == 48
    assert cfg.observations.front.rgb.modifiers, "what else there is of a picture stays"
    with pytest.raises(ValueError, match=r"env.wrists.wrist = 'Robot_9' .*'Robot', 'Robot_2'"):
        settled("env.wrists.wrist=Robot_9")
    with pytest.raises(ValueError, match=r"env.wrists = .*a robot for wrist, wrist_2"):
        settled("env.wrists={'wrist':'Robot'}")
