# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The paths that are shown are those that the arms go."""

import pytest
import torch

from isaaclab.utils.math import quat_apply

from flow_rl_assets.franka import HAND_BODY, TCP_OFFSET

pytestmark = [pytest.mark.sim, pytest.mark.slow]

TOOLS = {"FlowRL-OneLeg-Low-Franka": 1, "FlowRL-Transport-DualFranka": 2}


def tools(env, num_arms: int) -> torch.Tensor:
    """Positions of the tools in the world [m], shape (R, E, 3)."""
    poses = []
    for name in ("robot", "robot_2")[:num_arms]:
        robot = env.scene[name]
        hand = robot.data.body_pose_w.torch[:, robot.find_bodies(HAND_BODY)[0][0]]
        poses.append(hand[:, :3] + quat_apply(hand[:, 3:], torch.tensor(TCP_OFFSET).expand(len(hand), 3)))
    return torch.stack(poses)


@pytest.mark.parametrize("task", TOOLS)
@torch.inference_mode()
def test_the_tool_goes_where_the_plan_says(make_env, task):
    """Up and to the side, some of it faster than the term allows, with one arm and with two that face each other."""
    num_arms = TOOLS[task]
    with make_env(None, 2, task=task, physics="ovphysx") as env:
        env.reset(seed=0)
        term = env.action_manager.get_term("chunk")
        actions = torch.zeros(2, term.cfg.horizon, num_arms, term.action_dim // (term.cfg.horizon * num_arms))
        actions[:, :3, :, 1:3] = torch.tensor(((0.3, 0.6), (-3.0, 0.4)))[:, None, None]
        chunks = actions.flatten(1)
        path = term.planned_paths(chunks.unsqueeze(0))
        assert path.shape == (num_arms, 1, 2, term.cfg.horizon + 1, 3)
        torch.testing.assert_close(path[:, 0, :, 0], tools(env, num_arms), atol=1e-5, rtol=0.0)
        assert (path[:, 0, :, -1] - path[:, 0, :, 0]).norm(dim=-1).min() > 0.08
        env.step(chunks)
        torch.testing.assert_close(path[:, 0, :, -1], tools(env, num_arms), atol=0.025, rtol=0.0)


@torch.inference_mode()
def test_plans_of_joint_changes_are_exact_kinematics(make_env):
    """The end of the path is where the tool is once the joints are where the chunk sends them."""
    with make_env(None, 2, task="FlowRL-Kitchen-Complete-Franka", physics="newton_mjwarp") as env:
        env.reset(seed=0)
        term, robot = env.action_manager.get_term("chunk"), env.scene["robot"]
        actions = 0.8 * torch.rand(2, 4, 9) - 0.4
        path = term.planned_paths(actions.flatten(1).unsqueeze(0))[0, 0]
        joints = robot.find_joints("panda_joint[1-7]")[0]
        start = robot.data.joint_pos.torch[:, joints].clone()
        for count in (0, 1, 4):
            position = start + 0.2 * actions[:, :count, :7].sum(dim=1)
            robot.write_joint_position_to_sim_index(position=position, joint_ids=joints)
            env.sim.forward()
            env.scene.update(0.0)
            torch.testing.assert_close(path[:, count], tools(env, 1)[0], atol=1e-4, rtol=0.0)
