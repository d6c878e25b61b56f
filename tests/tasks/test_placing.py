# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The tasks in which an object is brought to its place, on both engines: beginnings, ends, experts."""

import math

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.testing import first_episodes
from flow_rl_assets.shapes import Box
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

ENGINES = ("ovphysx", "newton_mjwarp")
TASKS = {"FlowRL-Can-Franka": 300, "FlowRL-Square-Franka": 400}
"""Tasks, and control ticks of an episode."""
NUM_ENVS = 16


def success_params(task: str) -> dict:
    return entry_point(task, "env_cfg")().terminations.success.params["term"].params


@pytest.fixture(scope="module", params=[(task, engine) for task in TASKS for engine in ENGINES], ids="-".join)
def env(make_env, request):
    task, engine = request.param
    with make_env(horizon=1, num_envs=NUM_ENVS, task=task, physics=engine) as env, torch.inference_mode():
        env.task, env.engine = task, engine
        yield env


@pytest.fixture
def still() -> torch.Tensor:
    """Action that holds the arm still with the gripper open, shape (E, A)."""
    return torch.zeros(NUM_ENVS, 7)


def put(env, positions: list[tuple[float, float, float]]) -> None:
    """Put the objects of the first environments upright and at rest at positions [m] in their frames."""
    pose = torch.zeros(len(positions), 7)
    pose[:, :3] = torch.tensor(positions) + env.scene.env_origins[: len(positions)]
    pose[:, 6] = 1.0
    ids = torch.arange(len(positions), dtype=torch.int32)
    env.scene["object"].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
    env.scene["object"].write_root_velocity_to_sim_index(root_velocity=torch.zeros(len(pose), 6), env_ids=ids)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_those_of_robomimic(task):
    cfg = entry_point(task, "env_cfg")()
    assert round(cfg.episode_length_s / cfg.sim.dt) == TASKS[task]
    assert cfg.actions.chunk.horizon == 4


def test_nuts_go_over_pegs_and_hands_into_bins():
    from flow_rl_tasks.tabletop.can import can_env_cfg as can
    from flow_rl_tasks.tabletop.square import square_env_cfg as square

    hole = square.PEG_WIDTH / 2 + square.CLEARANCE
    inside, solid = [[hole - 1e-4, 0.0, 0.0], [0.0, -hole + 1e-4, 0.0]], [[hole + 1e-4, 0.0, 0.0]]
    assert not square.NUT.contains(inside).any() and square.NUT.contains(solid).all()
    assert square.NUT.contains([[square.HANDLE, 0.0, 0.0]]).all()
    size = [(wall - can.FLOOR) / 2 for wall in can.TARGET_SIZE[:2]]
    assert size == pytest.approx(can.COMPARTMENT), "the goal is the whole compartment between its walls"
    walls = [wall for wall in can.tray(can.TARGET_SIZE, can.FLOOR, (0.0,), (0.0,)) if isinstance(wall, Box)]
    centre = (can.PLACE[0] - can.TARGET[0], can.PLACE[1] - can.TARGET[1])
    at_walls = [(centre[0] + side * (can.COMPARTMENT[0] / 2 + 1e-4), centre[1], 0.03) for side in (-1, 1)] + [
        (centre[0], centre[1] + side * (can.COMPARTMENT[1] / 2 + 1e-4), 0.03) for side in (-1, 1)
    ]
    for point in at_walls:
        assert any(wall.contains(point) for wall in walls), point
    assert not any(wall.contains((*centre, 0.03)) for wall in walls)


def test_observations_are_named_in_robomimics_order(env):
    env.reset(seed=0)
    names = env.observation_manager.active_terms["policy"]
    assert names[-4:] == ["object_pos", "object_quat", "eef_to_object", "eef_to_object_quat"]
    obs = env.observation_manager.compute()["policy"]
    assert obs.shape == (NUM_ENVS, 23)
    assert torch.allclose(obs[:, 9:12] - obs[:, :3], obs[:, 16:19], atol=1e-5)
    assert torch.allclose(obs[:, 19:].norm(dim=1), torch.ones(NUM_ENVS), atol=1e-4)


def test_objects_begin_within_their_range_and_differ(env):
    events = entry_point(env.task, "env_cfg")().events.reset_object.params["pose_range"]
    poses = []
    for seed in (0, 1):
        env.reset(seed=seed)
        data = env.scene["object"].data
        offset = data.root_pos_w.torch - env.scene.env_origins - data.default_root_pose.torch[:, :3]
        assert (offset[:, 0].abs() <= events["x"][1] + 1e-5).all()
        assert (offset[:, 1].abs() <= events["y"][1] + 1e-5).all()
        assert offset[:, :2].std(dim=0).min() > 0.2 * events["x"][1]
        quat = data.root_quat_w.torch
        yaw = 2 * torch.atan2(quat[:, 2], quat[:, 3])
        assert (torch.remainder(yaw + math.pi, 2 * math.pi) - math.pi).abs().max() <= events["yaw"][1] + 1e-4
        poses.append(offset)
    assert not torch.allclose(*poses)
    env.reset(seed=0)
    again = env.scene["object"].data.root_pos_w.torch - env.scene.env_origins
    assert torch.equal(again - env.scene["object"].data.default_root_pose.torch[:, :3], poses[0])


def test_what_lies_at_its_place_solves_the_task(env, still):
    """At rest there; 1 cm beyond the tolerance along each axis; above; and with the tool close to it."""
    env.reset(seed=0)
    params = success_params(env.task)
    (x, y), (dx, dy) = params["place"], params["tolerance"]
    low = env.scene["object"].data.default_root_pose.torch[0, 2].item() + 1e-3
    positions = [(x, y, low), (x + dx + 0.01, y, 0.2), (x, y + dy + 0.01, 0.2), (x, y, params["height"] + 0.15)]
    put(env, positions)
    made = env.termination_manager.get_term_cfg("success").params["term"]
    assert made.func(env, **made.params)[:4].tolist() == [True, False, False, False]
    low_but_beside = [(px, py, low) for px, py, _ in positions[1:3]]
    put(env, [(x, y, low), *low_but_beside])
    assert made.func(env, **made.params)[:3].tolist() == [True, False, False]
    tool = env.observation_manager.compute()["policy"][0, :3]
    near = made.params | {"place": tuple(tool[:2].tolist()), "height": 1.0}
    put(env, [tuple((tool - torch.tensor([0.0, 0.0, near["clearance"] + shift])).tolist()) for shift in (-0.01, 0.01)])
    assert made.func(env, **near)[:2].tolist() == [False, True]
    held = params.get("span", (0.0, 0.0))[1]
    put(env, [tuple((tool - torch.tensor(shift)).tolist()) for shift in ((held, 0.0, 0.01), (0.0, 0.3, 0.0))])
    beside = near | {"tolerance": (1.0, 1.0)}
    assert made.func(env, **beside)[:2].tolist() == [False, True], "at its far end, and low but far away"
    env.reset(seed=0)
    put(env, [(x, y, low)])
    _, reward, terminated, *_ = env.step(still)
    assert terminated.nonzero().flatten().tolist() == [0]
    assert reward.sum() == reward[0] == 1.0


def test_what_is_at_rest_stays_at_rest(env, still):
    env.reset(seed=0)
    env.step(still)
    before = env.scene["object"].data.root_pos_w.torch.clone()
    for _ in range(20):
        env.step(still)
    assert (env.scene["object"].data.root_pos_w.torch - before).norm(dim=1).max() < 2e-3


def test_random_actions_break_nothing(env):
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        env.step(torch.rand(NUM_ENVS, 7, generator=generator) * 2.0 - 1.0)
        assert not non_finite(env)


def test_both_strategies_solve_the_task_and_differ(env, monkeypatch):
    expert_type = entry_point(env.task, "expert")
    ways = []
    for strategy in range(2):
        monkeypatch.setattr(torch, "randint", lambda high, size, strategy=strategy, **_: torch.full(size, strategy))
        env.reset(seed=0)
        expert = expert_type(env)
        expert.act()
        ways.append(torch.stack((expert._grasp_yaw, expert._place_yaw), dim=1))
        assert first_episodes(env, expert).float().mean() >= 0.9, expert.strategies[strategy]
        assert (expert.strategy == strategy).all()
    assert ((ways[0] - ways[1]).abs().amax(dim=1) > 1.0).any()


def test_a_clumsy_expert_is_worse_and_reproducible(env):
    expert_type = entry_point(env.task, "expert")
    fair = first_episodes(env, expert_type(env, quality=0.5, seed=1))
    clumsy = first_episodes(env, expert_type(env, quality=0.0, seed=1))
    assert clumsy.float().mean() < 0.9
    assert clumsy.float().mean() <= fair.float().mean()
    if env.engine == "newton_mjwarp":  # PhysX remembers contacts across resets
        assert torch.equal(first_episodes(env, expert_type(env, quality=0.5, seed=1)), fair)
