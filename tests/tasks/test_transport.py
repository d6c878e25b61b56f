# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The transport task with two robots, on both engines: what is seen, beginnings, ends, and the experts together."""

import math

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.configs import learners
from flow_rl.testing import first_episodes
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

ENGINES = ("ovphysx", "newton_mjwarp")
TASK = "FlowRL-Transport-DualFranka"
NUM_ENVS = 8
OBSERVATIONS = {
    "eef_pos": 3, "eef_quat": 4, "gripper_qpos": 2, "eef_pos_2": 3, "eef_quat_2": 4, "gripper_qpos_2": 2,
    "tool_pos": 3, "tool_quat": 4, "trash_pos": 3, "trash_quat": 4, "lid_handle_pos": 3, "lid_handle_quat": 4,
    "tool_to_goal": 3, "trash_to_bin": 3, "eef_to_tool": 3, "eef_to_lid_handle": 3, "eef_2_to_tool": 3,
    "eef_2_to_trash": 3, "tool_in_goal": 1, "trash_in_bin": 1,
}  # fmt: skip


@pytest.fixture(scope="module", params=ENGINES)
def env(make_env, request):
    with make_env(horizon=1, num_envs=NUM_ENVS, task=TASK, physics=request.param) as env, torch.inference_mode():
        env.engine = request.param
        yield env


def see(env) -> dict[str, torch.Tensor]:
    """Terms of the observation by their names."""
    obs = env.observation_manager.compute()["policy"]
    return dict(zip(OBSERVATIONS, obs.split(list(OBSERVATIONS.values()), dim=1), strict=True))


def still() -> torch.Tensor:
    """Action that holds both arms still with open grippers, shape (E, A)."""
    return torch.zeros(NUM_ENVS, 14)


def put(env, name: str, positions: list[tuple[float, float, float]]) -> None:
    """Put an object of the first environments upright and at rest at positions [m] in their frames."""
    pose = torch.zeros(len(positions), 7)
    pose[:, :3] = torch.tensor(positions) + env.scene.env_origins[: len(positions)]
    pose[:, 6] = 1.0
    ids = torch.arange(len(positions), dtype=torch.int32)
    env.scene[name].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
    env.scene[name].write_root_velocity_to_sim_index(root_velocity=torch.zeros(len(pose), 6), env_ids=ids)


def solved(env) -> torch.Tensor:
    """Whether the condition for success holds now, shape (E,)."""
    term = env.termination_manager.get_term_cfg("success").params["term"]
    return term.func(env, **term.params)


def test_sizes_and_settings_of_the_learners():
    cfg = entry_point(TASK, "env_cfg")()
    assert round(cfg.episode_length_s / cfg.sim.dt) == 800
    assert cfg.actions.chunk.horizon == cfg.decimation == 8
    vision = entry_point(f"{TASK}-Vision", "env_cfg")()
    seen = ["policy", "front", "wrist", "wrist_2"]
    for learner in learners():
        assert entry_point(TASK, f"{learner}_cfg")().actor.horizon == 8
        runner = entry_point(f"{TASK}-Vision", f"{learner}_cfg")()
        assert runner.actor.horizon == 8 and runner.obs_groups == {"actor": seen, "critic": ["state"]}
    assert entry_point(f"{TASK}-Vision", "pretrain_cfg")().obs_keys == seen
    assert all(hasattr(vision.observations, name) for name in (*seen, "state"))
    felt = [name for name, term in vars(vision.observations.policy).items() if hasattr(term, "func")]
    assert felt == list(OBSERVATIONS)[:6]


def test_the_tool_fits_under_the_lid_and_two_hands_onto_its_handle():
    from flow_rl_tasks.tabletop.transport import transport_env_cfg as cfg
    from flow_rl_tasks.tabletop.transport.expert import GRIP

    length = cfg.HANDLE_SIZE[0] + cfg.HEAD_SIZE[0]
    events = cfg.TransportEventsCfg()
    shift, turn = (events.reset_tool.params["pose_range"][axis][1] for axis in ("x", "yaw"))
    assert length / 2 * math.cos(turn) + cfg.HEAD_SIZE[1] / 2 * math.sin(turn) + shift < cfg.BIN_SIZE[0] / 2
    assert cfg.TOOL_REST + cfg.HANDLE_SIZE[2] / 2 < cfg.BIN_SIZE[2]
    for axis, name in enumerate(("x", "y")):
        shift = events.reset_lid.params["pose_range"][name][1]
        assert cfg.LID_SIZE[axis] / 2 - shift > cfg.BIN_SIZE[axis] / 2, "the lid covers the bin"
    assert 2 * GRIP > 0.1, "hands are 6 cm wide"
    assert cfg.TOOL.contains([[x, 0.0, 0.0] for x in (GRIP, -GRIP)]).all()


def test_the_state_has_the_size_of_robomimics_and_one_frame_for_both_robots(env):
    env.reset(seed=0)
    assert env.observation_manager.active_terms["policy"] == list(OBSERVATIONS)
    assert env.observation_manager.compute()["policy"].shape == (NUM_ENVS, 59)
    assert env.action_manager.total_action_dim == 14
    seen = see(env)
    # the robots face each other: turned about the middle of the table, the second's tool is where the first's is
    turned = torch.tensor([1.2, 0.0, 0.0]) + seen["eef_pos"] * torch.tensor([-1.0, -1.0, 1.0])
    assert torch.allclose(seen["eef_pos_2"], turned, atol=0.06)
    assert (seen["eef_pos_2"][:, 0] > 0.7).all() and (seen["eef_pos"][:, 0] < 0.5).all()
    for eef, quat, name in (
        ("eef_pos", "eef_quat", "eef_to_tool"),
        ("eef_pos_2", "eef_quat_2", "eef_2_to_tool"),
    ):
        assert torch.allclose(seen[eef] + seen[name], seen["tool_pos"], atol=1e-5)
        assert torch.allclose(seen[quat].norm(dim=1), torch.ones(NUM_ENVS), atol=1e-4)
    assert (seen["eef_quat"][:, 0] > 0.99).all() and (seen["eef_quat_2"][:, 1] > 0.99).all(), "a half turn apart"
    assert torch.allclose(seen["eef_pos"] + seen["eef_to_lid_handle"], seen["lid_handle_pos"], atol=1e-5)
    assert torch.allclose(seen["eef_pos_2"] + seen["eef_2_to_trash"], seen["trash_pos"], atol=1e-5)
    assert (seen["lid_handle_pos"][:, 2] > 0.1).all()
    assert seen["tool_in_goal"].sum() == seen["trash_in_bin"].sum() == 0


def test_each_arm_moves_along_the_axes_of_its_own_base(env):
    env.reset(seed=0)
    before = {name: value.clone() for name, value in see(env).items()}
    action = still()
    action[:, 7], action[:, 13] = 1.0, -1.0
    for _ in range(2):
        env.step(action)
    after = see(env)
    assert ((after["eef_pos_2"] - before["eef_pos_2"])[:, 0] < -0.05).all(), "towards the other robot"
    assert (after["eef_pos"] - before["eef_pos"]).norm(dim=1).max() < 0.01
    assert (after["gripper_qpos_2"] < 0.02).all() and (after["gripper_qpos"] > 0.035).all()


def test_objects_begin_within_their_range_and_differ(env):
    events = entry_point(TASK, "env_cfg")().events
    starts = []
    for seed in (0, 1, 0):
        env.reset(seed=seed)
        shifts = []
        for name in ("tool", "trash", "lid"):
            limits = getattr(events, f"reset_{name}").params["pose_range"]
            data = env.scene[name].data
            shift = data.root_pos_w.torch - env.scene.env_origins - data.default_root_pose.torch[:, :3]
            yaw = 2 * torch.atan2(data.root_quat_w.torch[:, 2], data.root_quat_w.torch[:, 3])
            for values, axis in ((shift[:, 0], "x"), (shift[:, 1], "y"), (yaw, "yaw")):
                assert 0.2 * limits[axis][1] < values.std() and values.abs().max() <= limits[axis][1] + 1e-4
            shifts.append(shift)
        starts.append(torch.cat(shifts, dim=1))
    assert not torch.allclose(starts[0], starts[1]) and torch.equal(starts[0], starts[2])


def test_the_task_is_solved_when_all_is_where_it_belongs_and_left(env):
    from flow_rl_tasks.tabletop.transport.transport_env_cfg import (
        BIN_SIZE,
        GOAL,
        TOOL_REST,
        TRASH,
        TRASH_BIN_SIZE,
        TRASH_REST,
    )

    env.reset(seed=0)
    (x, y), (u, v) = GOAL, TRASH
    eps = 1e-3
    beyond, wide = BIN_SIZE[0] / 2 + eps, TRASH_BIN_SIZE[1] / 2 + eps
    tools = [(x, y, TOOL_REST)] * 5 + [(x + beyond, y, TOOL_REST), (x, y, TOOL_REST + 0.01 + eps), (x, y, 0.0)]
    trash = [(u, v, TRASH_REST)] * 5 + [(u, v, TRASH_REST)] * 3
    trash[1] = (u, v + wide, TRASH_REST)
    trash[2] = (u, v, TRASH_REST + 0.01 + eps)
    trash[3] = (x, y, TRASH_REST)
    trash[4] = (u, v + wide - 2 * eps, TRASH_REST)
    put(env, "tool", tools)
    put(env, "trash", trash)
    assert solved(env).tolist() == [True, False, False, False, True, False, False, True]
    seen = see(env)
    assert seen["tool_in_goal"].flatten().tolist() == [1, 1, 1, 1, 1, 0, 0, 1]
    assert seen["trash_in_bin"].flatten().tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    assert torch.allclose(seen["tool_to_goal"][0], torch.zeros(3), atol=1e-6)
    assert torch.allclose(seen["trash_to_bin"][0], torch.zeros(3), atol=1e-6)
    env.reset(seed=0)
    put(env, "tool", [(x, y, TOOL_REST)])
    put(env, "trash", [(u, v, TRASH_REST)] * 2)
    _, reward, terminated, *_ = env.step(still())
    assert terminated.nonzero().flatten().tolist() == [0]
    assert reward.sum() == reward[0] == 1.0


@pytest.mark.parametrize("arm", [0, 1])
def test_a_gripper_that_has_not_left_keeps_the_task_open(env, arm):
    """Each of the two, 1 cm below and above the clearance over the tool, at its head, and far beside it."""
    env.reset(seed=0)
    term = env.termination_manager.get_term_cfg("success").params["term"].params["terms"][arm]
    assert term.params["object_cfg"].name == "tool" and term.params["robot_cfg"].name == ("robot", "robot_2")[arm]
    heights = torch.tensor([[0.0, 0.0, term.params["clearance"] + shift] for shift in (-0.01, 0.01)])
    put(env, "tool", (see(env)[("eef_pos", "eef_pos_2")[arm]][:2] - heights).tolist())
    anywhere = {"tolerance": (1.0, 1.0), "height": 1.0}
    assert term.func(env, **term.params | anywhere)[:2].tolist() == [False, True]
    beside = torch.tensor([[-0.13, 0.0, 0.0], [0.0, 0.3, 0.0]])
    put(env, "tool", (see(env)[("eef_pos", "eef_pos_2")[arm]][:2] - beside).tolist())
    assert term.func(env, **term.params | anywhere)[:2].tolist() == [False, True]


def test_what_is_at_rest_stays_at_rest(env):
    env.reset(seed=0)
    env.step(still())
    names = ("tool", "trash", "lid")
    before = [env.scene[name].data.root_pos_w.torch.clone() for name in names]
    for _ in range(20):
        env.step(still())
    for name, pos in zip(names, before, strict=True):
        assert (env.scene[name].data.root_pos_w.torch - pos).norm(dim=1).max() < 3e-3, name


def test_random_actions_break_nothing(env):
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        env.step(torch.rand(NUM_ENVS, 14, generator=generator) * 2.0 - 1.0)
        assert not non_finite(env)


@pytest.mark.slow
def test_both_strategies_solve_the_task_with_the_tool_given_in_the_air(env, monkeypatch):
    from flow_rl_tasks.tabletop.transport.expert import TransportExpert

    held = torch.zeros(2, NUM_ENVS, dtype=torch.bool)
    begun = []
    for strategy in range(2):
        monkeypatch.setattr(torch, "randint", lambda high, size, strategy=strategy, **_: torch.full(size, strategy))
        env.reset(seed=0)
        expert = TransportExpert(env)
        act = expert.act

        def watch(strategy=strategy, act=act, expert=expert) -> torch.Tensor:
            closed = expert.arms[0].holds() & expert.arms[1].has_taken()
            held[strategy] |= closed & (see(env)["tool_pos"][:, 2] > 0.2)
            return act()

        monkeypatch.setattr(expert, "act", watch)
        assert first_episodes(env, expert).float().mean() >= 0.8, expert.strategies[strategy]
        assert (expert.strategy == strategy).all()
        env.reset(seed=0)
        expert.reset()
        act()
        begun.append(expert.arms[0].waits)
    assert held.float().mean() > 0.8, "both grippers have closed on the raised tool"
    assert not begun[0].any() and begun[1].all()


@pytest.mark.slow
def test_a_clumsy_expert_is_worse(env):
    from flow_rl_tasks.tabletop.transport.expert import TransportExpert

    assert first_episodes(env, TransportExpert(env, quality=0.0, seed=1)).float().mean() < 0.8


def test_bad_input_is_refused(env):
    from flow_rl_tasks.tabletop.transport.expert import TransportExpert

    with pytest.raises(ValueError, match="quality=1.5"):
        TransportExpert(env, quality=1.5)
