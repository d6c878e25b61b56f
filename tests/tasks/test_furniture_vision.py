# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Every furniture has a vision variant, whose critic sees what that of the state variant sees."""

import gymnasium as gym
import pytest
import torch

from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg

from flow_rl.cli.launch import entry_point
from flow_rl.configs import learners
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

TASKS = [f"FlowRL-{name}-{level}-Franka" for name in ("OneLeg", "Lamp", "RoundTable") for level in ("Low", "Med")]
PARTS = {"OneLeg": 2, "Lamp": 3, "RoundTable": 3}
NUM_ENVS = 2


def terms(group: ObservationGroupCfg) -> dict[str, tuple]:
    """What a group observes, and of what."""
    found = {name: term for name, term in vars(group).items() if isinstance(term, ObservationTermCfg)}
    return {name: (term.func, term.params) for name, term in found.items()}


@pytest.mark.parametrize("task", TASKS)
def test_only_what_is_seen_differs_from_the_state_variant(task):
    state, vision = (entry_point(name, "env_cfg")() for name in (task, f"{task}-Vision"))
    assert vision.furniture == state.furniture and vision.randomization == state.randomization
    assert vision.episode_length_s == state.episode_length_s and vision.decimation == state.decimation
    assert terms(vision.observations.state) == terms(state.observations.policy)
    assert not vision.observations.state.enable_corruption  # critics see exactly, under presets=sim_to_real too
    assert vision.observations.privileged == state.observations.privileged
    assert state.scene.front is None and not hasattr(state.observations, "front")


@pytest.mark.parametrize("task", TASKS)
def test_learners_keep_the_settings_of_the_furniture(task):
    for learner in (*learners(), "pretrain"):
        state, vision = (entry_point(name, f"{learner}_cfg")() for name in (task, f"{task}-Vision"))
        fields = {"obs_groups", "obs_keys"}
        assert {name: value for name, value in vision.to_dict().items() if name not in fields} == {
            name: value for name, value in state.to_dict().items() if name not in fields
        }
        if learner == "pretrain":
            assert vision.obs_keys == ["policy", "front", "wrist"]
            continue
        assert vision.obs_groups["actor"] == ["policy", "front", "wrist"]
        # what the policy of the state variant sees is called `state` here
        assert vision.obs_groups["critic"] == [name.replace("policy", "state") for name in state.obs_groups["critic"]]


def test_a_new_furniture_gets_its_vision_variants_for_nothing():
    from flow_rl_tasks.furniture import ENV_CFG_MODULES, register_furniture, vision_env_cfg
    from flow_rl_tasks.variations.vision import VisionMixin

    register_furniture("Stool", "flow_rl_tasks.furniture.one_leg.one_leg_env_cfg", num_joints=1)
    names = [f"FlowRL-Stool-{level}-Franka-Vision" for level in ("Low", "Med")]
    try:
        assert all(gym.spec(name).kwargs["env_cfg_entry_point"].endswith("VisionEnvCfg") for name in names)
    finally:
        for name in names:
            gym.registry.pop(name), gym.registry.pop(name.removesuffix("-Vision"))
        for level in ("Low", "Med"):
            ENV_CFG_MODULES.pop(f"Stool{level}")
    made = vision_env_cfg.OneLegLowVisionEnvCfg
    assert issubclass(made, VisionMixin) and made is vision_env_cfg.OneLegLowVisionEnvCfg
    with pytest.raises(AttributeError, match="StoolLowVisionEnvCfg"):
        vision_env_cfg.StoolLowVisionEnvCfg  # noqa: B018


@pytest.mark.parametrize(
    ("task", "engine"),
    [(TASKS[0], "newton_mjwarp"), (TASKS[1], "ovphysx"), (TASKS[3], "ovphysx"), (TASKS[4], "ovphysx")],
)
def test_the_actor_sees_pictures_and_feels_itself_only(make_env, task, engine):
    generator = torch.Generator().manual_seed(0)
    with make_env(None, NUM_ENVS, task=f"{task}-Vision", physics=engine) as env, torch.inference_mode():
        obs, _ = env.reset(seed=0)
        for camera in ("front", "wrist"):
            assert obs[camera].shape == (NUM_ENVS, 3, 96, 96) and obs[camera].dtype == torch.uint8
            assert obs[camera].float().std() > 20, "not blank"
        proprioception = ["eef_pos", "eef_rot6d", "eef_vel", "gripper_width"]
        assert env.observation_manager.active_terms["policy"] == proprioception
        assert obs["policy"].shape == (NUM_ENVS, 16)
        assert obs["state"].shape == (NUM_ENVS, 16 + 9 * PARTS[task.split("-")[1]])
        assert torch.equal(obs["state"][:, :16], obs["policy"])
        for _ in range(3):
            env.step(2.0 * torch.rand(NUM_ENVS, 80, generator=generator) - 1.0)
            assert not non_finite(env)
