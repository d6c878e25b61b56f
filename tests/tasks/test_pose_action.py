# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Orientations from six numbers, bounded steps towards a pose, and actions that mean a pose."""

import math
from types import SimpleNamespace

import pytest
import torch

import isaaclab.utils.math as math_utils
from isaaclab.utils.math import matrix_from_quat, quat_from_angle_axis, quat_mul, random_orientation

from flow_rl_tasks.mdp.pose_action import Rot6dPoseAction, quat_from_matrix, quat_from_rot6d, step_towards

DOWN = torch.tensor((1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
"""Columns of a gripper that points down."""


@pytest.fixture
def quat() -> torch.Tensor:
    torch.manual_seed(0)
    return random_orientation(64, "cpu")


def columns(quat: torch.Tensor) -> torch.Tensor:
    matrix = matrix_from_quat(quat)
    return torch.cat((matrix[:, :, 0], matrix[:, :, 1]), dim=1)


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle between orientations, exact for small ones too, shape (E,)."""
    apart = torch.minimum((a - b).norm(dim=1), (a + b).norm(dim=1))
    return 4.0 * torch.asin((apart / 2).clamp(max=1.0))


def test_quaternions_are_isaac_labs():
    """Also where a trace or a part is nothing: half turns, and small turns from them."""
    torch.manual_seed(0)
    axes = torch.eye(3).repeat_interleave(3, dim=0)
    turns = torch.tensor((0.0, math.pi, math.pi - 1e-3)).repeat(3)
    quat = torch.cat((random_orientation(256, "cpu"), quat_from_angle_axis(turns, axes)))
    matrix = matrix_from_quat(quat)
    ours = quat_from_matrix(matrix)
    assert torch.allclose(ours, math_utils.quat_from_matrix(matrix), atol=1e-6)
    assert angle(ours, quat).max() < 1e-3


def test_six_numbers_give_back_the_orientation(quat):
    assert angle(quat_from_rot6d(columns(quat)), quat).max() < 1e-3
    known = quat_from_rot6d(DOWN.unsqueeze(0))
    assert torch.allclose(known.abs(), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), atol=1e-6), "a half turn about x"


def test_columns_are_orthonormalised(quat):
    """Lengths do not matter, the first column keeps its direction, and the second turns within their plane."""
    x, y = columns(quat).split(3, dim=1)
    skewed = torch.cat((3.0 * x, 0.2 * y + 0.7 * x), dim=1)
    assert angle(quat_from_rot6d(skewed), quat).max() < 1e-3
    matrix = matrix_from_quat(quat_from_rot6d(torch.randn(64, 6)))
    assert torch.allclose(matrix @ matrix.transpose(1, 2), torch.eye(3).expand(64, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(matrix), torch.ones(64), atol=1e-5)


@pytest.mark.parametrize(
    "rot6d",
    [
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 2.0, 0.0, 0.0, -1.0, 0.0),
        (0.5, 0.5, 0.5, 1.0, 1.0, 1.0),
        (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    ],
    ids=str,
)
def test_degenerate_columns_give_a_finite_orientation(rot6d):
    quat = quat_from_rot6d(torch.tensor([rot6d]))
    assert torch.isfinite(quat).all()
    if any(rot6d[:3]):
        assert quat.norm() == pytest.approx(1.0, abs=1e-5)
        first = torch.nn.functional.normalize(torch.tensor(rot6d[:3]), dim=0)
        assert torch.allclose(matrix_from_quat(quat)[0, :, 0], first, atol=1e-5), "the first column counts"


def test_steps_are_bounded_and_point_at_the_goal(quat):
    pos, goal = torch.randn(64, 3), torch.randn(64, 3)
    goal_quat = quat.roll(1, dims=0)
    next_pos, next_quat = step_towards(pos, quat, goal, goal_quat, 0.05, 0.3)
    shift, way = next_pos - pos, goal - pos
    assert torch.allclose(shift.norm(dim=1), way.norm(dim=1).clamp(max=0.05), atol=1e-6)
    assert torch.allclose(torch.nn.functional.cosine_similarity(shift, way), torch.ones(64), atol=1e-5)
    before, turned = angle(goal_quat, quat), angle(next_quat, quat)
    assert torch.allclose(turned, before.clamp(max=0.3), atol=2e-3)
    left = angle(goal_quat, next_quat)
    assert torch.allclose(left, before - turned, atol=4e-3), "the turn goes the shortest way"


def test_a_near_goal_is_reached_in_one_step_and_a_far_one_in_several(quat):
    pos = torch.randn(64, 3)
    goal = pos + 0.02 * torch.nn.functional.normalize(torch.randn(64, 3), dim=1)
    axis = torch.nn.functional.normalize(torch.randn(64, 3), dim=1)
    goal_quat = quat_mul(quat_from_angle_axis(torch.full((64,), 0.1), axis), quat)
    at, facing = step_towards(pos, quat, goal, goal_quat, 0.05, 0.3)
    assert torch.allclose(at, goal, atol=1e-6) and angle(facing, goal_quat).max() < 2e-3
    same_pos, same_quat = step_towards(goal, goal_quat, goal, goal_quat, 0.05, 0.3)
    assert torch.equal(same_pos, goal) and angle(same_quat, goal_quat).max() < 1e-3
    goal, goal_quat = pos + 0.3 * axis, quat.roll(1, dims=0)
    for _ in range(math.ceil(math.pi / 0.3) + 1):
        pos, quat = step_towards(pos, quat, goal, goal_quat, 0.05, 0.3)
    assert torch.allclose(pos, goal, atol=1e-5) and angle(quat, goal_quat).max() < 2e-3


def test_bounds_may_differ_between_environments(quat):
    zero, one = torch.zeros(64, 3), torch.ones(64, 3)
    max_step, max_turn = torch.linspace(0.01, 0.1, 64), torch.linspace(0.1, 0.3, 64)
    pos, facing = step_towards(zero, quat, one, quat.roll(1, dims=0), max_step.unsqueeze(1), max_turn)
    assert torch.allclose(pos.norm(dim=1), max_step, atol=1e-6)
    far = angle(quat, quat.roll(1, dims=0)) > 0.35
    assert torch.allclose(angle(facing, quat)[far], max_turn[far], atol=2e-3)


class Arm(SimpleNamespace):
    """What the methods of :class:`Rot6dPoseAction` read of their object; the tool points down at the origin."""

    SCALE = {True: (0.05, 0.05, 0.05, *6 * (0.3,)), False: (0.2, 0.4, 0.2, *6 * (1.0,))}
    OFFSET = {True: (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0), False: (0.5, 0.0, 0.2, *6 * (0.0,))}

    def __init__(self, num_envs: int, relative: bool, max_step: float = 10.0, max_turn: float = 10.0):
        self.tool = torch.zeros(num_envs, 3), torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(num_envs, 1)
        super().__init__(
            _scale=torch.tensor(self.SCALE[relative]).repeat(num_envs, 1),
            _offset=torch.tensor(self.OFFSET[relative]).repeat(num_envs, 1),
            _default=torch.zeros(6) if relative else 1e-3 * DOWN,
            _raw_actions=torch.zeros(num_envs, 9),
            _processed_actions=torch.zeros(num_envs, 9),
            _compute_frame_pose=lambda: self.tool,
            _ik_controller=SimpleNamespace(set_command=self.set_command),
            cfg=SimpleNamespace(relative=relative, max_step=max_step, max_turn=max_turn),
        )

    def set_command(self, command: torch.Tensor, pos: torch.Tensor, quat: torch.Tensor) -> None:
        self.command = command


def test_the_absolute_action_of_a_pose_leads_to_that_pose(quat):
    arm = Arm(64, relative=False)
    low, high = torch.tensor((0.3, -0.4, 0.0)), torch.tensor((0.7, 0.4, 0.4))
    pos = low + torch.rand(64, 3) * (high - low)
    action = Rot6dPoseAction.raw_action(arm, pos, quat)
    assert action.shape == (64, 9) and action.abs().max() <= 1.0 + 1e-6, "the workspace is the range of actions"
    Rot6dPoseAction.process_actions(arm, action)
    assert torch.allclose(arm.command[:, :3], pos, atol=1e-6)
    assert angle(arm.command[:, 3:], quat).max() < 5e-3, "but for the slight pull down"


def test_the_relative_action_of_a_near_pose_leads_to_that_pose(quat):
    arm = Arm(64, relative=True)
    arm.tool = torch.randn(64, 3), quat
    axis = torch.nn.functional.normalize(torch.randn(64, 3), dim=1)
    pos = arm.tool[0] + 0.05 * (2.0 * torch.rand(64, 3) - 1.0)
    facing = quat_mul(quat_from_angle_axis(torch.full((64,), 0.28), axis), quat)
    action = Rot6dPoseAction.raw_action(arm, pos, facing)
    assert action.abs().max() <= 1.0 + 1e-5, "a step of the greatest size is within the range of actions"
    Rot6dPoseAction.process_actions(arm, action)
    assert torch.allclose(arm.command[:, :3], pos, atol=1e-5)
    assert angle(arm.command[:, 3:], facing).max() < 2e-3


def test_what_an_action_of_zeros_means(quat):
    """Absolute, a gripper that points down in the middle of the workspace; relative, no motion."""
    arm = Arm(64, relative=False)
    arm.tool = torch.randn(64, 3), quat
    Rot6dPoseAction.process_actions(arm, torch.zeros(64, 9))
    assert torch.allclose(arm.command[:, :3], torch.tensor((0.5, 0.0, 0.2)), atol=1e-6)
    assert angle(arm.command[:, 3:], torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(64, 4)).max() < 2e-3
    arm = Arm(64, relative=True)
    arm.tool = torch.randn(64, 3), quat
    Rot6dPoseAction.process_actions(arm, torch.zeros(64, 9))
    assert torch.allclose(arm.command[:, :3], arm.tool[0]) and angle(arm.command[:, 3:], quat).max() < 1e-3


def test_a_distant_pose_is_approached_at_the_bounded_speed():
    arm = Arm(2, relative=False, max_step=0.05, max_turn=0.3)
    action = torch.zeros(2, 9)
    action[:, 3:] = torch.tensor((0.0, 1.0, 0.0, 1.0, 0.0, 0.0))  # a quarter turn about the vertical
    Rot6dPoseAction.process_actions(arm, action)
    assert torch.allclose(arm.command[:, :3].norm(dim=1), torch.full((2,), 0.05), atol=1e-6)
    start = torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(2, 1)
    assert torch.allclose(angle(arm.command[:, 3:], start), torch.full((2,), 0.3), atol=2e-3)
    assert torch.equal(arm._raw_actions, action)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_saturated_actions_are_finite(relative, value):
    arm = Arm(2, relative)
    Rot6dPoseAction.process_actions(arm, torch.full((2, 9), value))
    assert torch.isfinite(arm.command).all()
