# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The kitchen on both engines: what moves, what counts, what is rewarded, who does what."""

from types import SimpleNamespace

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.configs import learners
from flow_rl_assets.franka import TCP_OFFSET
from flow_rl_tasks.kitchen import mdp as kitchen_mdp
from flow_rl_tasks.kitchen.kitchen import BACK_BURNER, ELEMENTS, KETTLE_TOLERANCE, SUBTASKS, Element
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

ENGINES = ("ovphysx", "newton_mjwarp")
TASKS = {
    "FlowRL-Kitchen-Complete-Franka": ("microwave", "kettle", "light_switch", "slide_cabinet"),
    "FlowRL-Kitchen-Partial-Franka": ("microwave", "kettle", "light_switch", "slide_cabinet"),
    "FlowRL-Kitchen-Mixed-Franka": ("microwave", "kettle", "bottom_burner", "light_switch"),
}
COMPLETE, PARTIAL, MIXED = TASKS
NUM_ENVS = 16
NAMES = list(ELEMENTS)


def hold_still(num_envs: int) -> torch.Tensor:
    action = torch.zeros(num_envs, 9)
    action[:, 7:] = 1.0
    return action


def record(env) -> kitchen_mdp.SubTasks:
    return env.command_manager.get_term("subtasks")


def set_elements(env, positions: torch.Tensor) -> None:
    """Put the elements of the first environments at joint positions (N, 6), at rest."""
    ids = torch.arange(len(positions), dtype=torch.int32)
    kitchen, joints = env.scene["kitchen"], record(env).joint_ids
    kitchen.write_joint_position_to_sim_index(position=positions, joint_ids=joints, env_ids=ids)
    kitchen.write_joint_velocity_to_sim_index(velocity=torch.zeros_like(positions), joint_ids=joints, env_ids=ids)


def set_kettle(env, poses: list[tuple[float, ...]]) -> None:
    """Put the kettles of the first environments at rest at poses (x, y, z, qx, qy, qz, qw) in their frames."""
    pose = torch.tensor(poses)
    pose[:, :3] += env.scene.env_origins[: len(poses)]
    ids = torch.arange(len(poses), dtype=torch.int32)
    env.scene["kettle"].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
    env.scene["kettle"].write_root_velocity_to_sim_index(root_velocity=torch.zeros(len(pose), 6), env_ids=ids)


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_those_of_franka_kitchen(task):
    cfg = entry_point(task, "env_cfg")()
    assert round(cfg.episode_length_s / cfg.sim.dt) == 280
    assert cfg.commands.subtasks.targets == TASKS[task]
    assert cfg.actions.chunk.horizon == 4
    for learner in (*learners(), "pretrain"):
        settings = entry_point(task, f"{learner}_cfg")()
        assert settings.actor.horizon == 4
        if learner == "rldt":
            assert settings.algorithm.value_range == [0.0, 4.0]


def test_demonstrations_differ_as_in_d4rl():
    plans = {task: entry_point(task, "expert").PLANS for task in TASKS}
    assert all(name in SUBTASKS for task in TASKS for plan in plans[task] for name in plan)
    assert plans[COMPLETE] == (TASKS[COMPLETE],)
    shares = [set(TASKS[PARTIAL]) <= set(plan) for plan in plans[PARTIAL]]
    assert any(shares) and not all(shares)
    assert not any(set(TASKS[MIXED]) <= set(plan) for plan in plans[MIXED])
    assert set(TASKS[MIXED]) <= {name for plan in plans[MIXED] for name in plan}, "the pieces are there"
    for task in TASKS:
        assert len(entry_point(task, "expert").strategies) == len(plans[task])


def test_elements_nobody_can_do_are_refused():
    link = ELEMENTS["microwave"].link
    with pytest.raises(ValueError, match="threshold=0.5 does not lie between 0 and the goal=-0.8"):
        Element(link, goal=-0.8, threshold=0.5, handle=(0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="goal=-2.0 lies outside"):
        Element(link, goal=-2.0, threshold=-1.0, handle=(0.0, 0.0, 0.0))


@pytest.mark.parametrize("targets", [("microwave", "toaster"), (), ("kettle", "kettle")])
def test_targets_that_are_not_there_are_refused(targets):
    env = SimpleNamespace(num_envs=1, device="cpu")
    cfg = entry_point(COMPLETE, "env_cfg")().commands.subtasks.replace(targets=targets)
    with pytest.raises(ValueError, match=r"commands.subtasks.targets=.*Valid: one or more of kettle, microwave"):
        kitchen_mdp.SubTasks(cfg, env)


# -- environments of their own, before the one below, which stays open until the end of the file ----------------------


def solved_by(env, expert) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of targets done in the first episode of each environment, and its strategy, shapes (E,)."""
    env.reset(seed=0)
    expert.reset()
    strategy = expert.strategy.clone()
    total, running = torch.zeros(env.num_envs), torch.ones(env.num_envs, dtype=torch.bool)
    while running.any():
        _, reward, terminated, truncated, _ = env.step(expert.act())
        total += reward * running
        running &= ~(terminated | truncated)
        expert.reset((terminated | truncated).nonzero().squeeze(-1))
    return total, strategy


@pytest.mark.parametrize("task", [PARTIAL, MIXED])
def test_experts_do_what_their_plans_say(make_env, task):
    """These load the other two tasks."""
    with make_env(horizon=1, num_envs=NUM_ENVS, task=task, physics="ovphysx") as env, torch.inference_mode():
        expert = entry_point(task, "expert")(env)
        total, strategy = solved_by(env, expert)
        planned = torch.tensor([len(set(plan) & set(TASKS[task])) for plan in expert.PLANS])
        assert len(strategy.unique()) > 1
        assert (total <= planned[strategy]).all()
        assert (total == planned[strategy]).float().mean() >= 0.9, (total, planned[strategy])


def test_the_vision_variant_feels_joints_and_sees_the_rest(make_env):
    from flow_rl_tasks.kitchen.kitchen_env_cfg import KitchenMixedVisionEnvCfg

    assert KitchenMixedVisionEnvCfg().commands.subtasks.targets == TASKS[MIXED]
    with make_env(horizon=1, num_envs=2, task=f"{COMPLETE}-Vision", physics="ovphysx") as env, torch.inference_mode():
        obs, _ = env.reset(seed=0)
        assert env.observation_manager.active_terms["policy"] == ["robot_qpos"]
        assert obs["state"].shape == (2, 35)
        generator = torch.Generator().manual_seed(0)
        for _ in range(50):
            obs, *_ = env.step(torch.rand(2, 9, generator=generator) * 2.0 - 1.0)
            assert not non_finite(env)
        for camera in ("front", "wrist"):
            assert obs[camera].shape == (2, 3, 96, 96) and obs[camera].float().std() > 20


def test_k_is_the_mean_over_the_last_episode_of_each_environment():
    """Three time-outs and then a quick success are a K of 1 in 4; what is broken off does not count."""
    term = kitchen_mdp.SubTasks.__new__(kitchen_mdp.SubTasks)
    env = SimpleNamespace(num_envs=4, device="cpu", reset_buf=torch.tensor([False, True, True, True]))
    env.episode_length_buf = torch.full((4,), 70)
    term._env, term.metrics, term._debug_vis_handle = env, {}, None
    term.cfg = SimpleNamespace(resampling_time_range=(1.0, 1.0))
    term.command_counter, term.time_left = torch.zeros(4, dtype=torch.long), torch.zeros(4)
    term._targets, term._finished = torch.tensor([0, 1, 2, 3]), torch.zeros(4, dtype=torch.bool)
    term.done, term._last_done = torch.zeros(2, 4, len(SUBTASKS), dtype=torch.bool).unbind()
    assert term.reset(torch.tensor([1, 2, 3]))["solved"] == 0.0
    term.done[0, :4] = True
    env.reset_buf = torch.tensor([True, False, False, False])
    log = term.reset(torch.tensor([0]))
    assert log["solved"] == 1.0 and log[SUBTASKS[0]] == 0.25 and log[SUBTASKS[4]] == 0.0
    term.done[1:, :] = True
    env.episode_length_buf[0] = 0
    assert term.reset()["solved"] == 1.0 and not term.done.any()


# -- one environment on each engine -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ENGINES)
def env(make_env, request):
    with make_env(horizon=1, num_envs=NUM_ENVS, task=COMPLETE, physics=request.param) as env, torch.inference_mode():
        env.engine = request.param
        yield env


@pytest.fixture
def still(env) -> torch.Tensor:
    """New episodes, and the action that holds the arm still with the gripper open, shape (E, A)."""
    env.reset(seed=0)
    return hold_still(env.num_envs)


# -- what moves -------------------------------------------------------------------------------------------------------


def test_at_rest_nothing_moves(env, still):
    for _ in range(20):
        obs, *_ = env.step(still)
    first = obs["policy"][:, 9:22].clone()
    for _ in range(20):
        obs, *_ = env.step(still)
    assert (obs["policy"][:, 9:22] - first).abs().max() < 1e-3
    assert obs["policy"][:, 16:22].abs().max() < 5e-3


def test_every_joint_moves_under_a_push_and_only_its_way(env, still):
    """Environment i: element i is pushed towards its goal, environment 6 + i: away from it, against its limit."""
    kitchen, joints = env.scene["kitchen"], record(env).joint_ids
    links = [element.link for element in ELEMENTS.values()]
    goals = torch.tensor([element.goal for element in ELEMENTS.values()])
    push = torch.diag(torch.tensor([4.0 * link.friction + link.stiffness for link in links]) * goals.sign())
    effort = torch.zeros(NUM_ENVS, len(links))
    effort[:6], effort[6:12] = push, -push
    start = torch.zeros(NUM_ENVS, len(links))
    for _ in range(15):
        kitchen.actuators.target_command.set_effort_index(value=effort, joint_ids=joints)
        env.step(still)
    moved = kitchen.data.joint_pos.torch[:, joints] - start
    towards = moved[:6].diagonal() / goals
    assert (towards > 0.3).all(), towards
    away = moved[6:12].diagonal() / goals
    assert (away.abs() < 0.03).all(), away
    others = moved[:6] - torch.diag(moved[:6].diagonal())
    assert others.abs().max() < 0.01, "each moves alone"
    weak = 0.3 * effort.sign() * torch.tensor([link.friction for link in links])
    env.reset(seed=0)
    for _ in range(10):
        kitchen.actuators.target_command.set_effort_index(value=weak, joint_ids=joints)
        env.step(still)
    assert (kitchen.data.joint_pos.torch[:, joints] / goals).abs().max() < 0.1, "friction holds"
    kitchen.actuators.target_command.set_effort_index(value=torch.zeros_like(weak), joint_ids=joints)


def test_knobs_and_switch_click(env, still):
    """Let go between two detents, they go to the nearer one."""
    names = [name for name in NAMES if ELEMENTS[name].link.detents]
    assert set(names) == {"bottom_burner", "top_burner", "light_switch"}
    positions = torch.zeros(2, len(NAMES))
    for name in names:
        low, high = ELEMENTS[name].link.detents[:2]
        positions[:, NAMES.index(name)] = torch.tensor([low + 0.35 * (high - low), low + 0.65 * (high - low)])
    set_elements(env, positions)
    for _ in range(30):
        env.step(still)
    after = env.scene["kitchen"].data.joint_pos.torch[:2, record(env).joint_ids]
    for name in names:
        link = ELEMENTS[name].link
        wanted = torch.tensor(link.detents[:2])
        assert (after[:, NAMES.index(name)] - wanted).abs().max() < 1.5 * link.friction / link.stiffness + 0.02, name


def test_handles_are_where_the_expert_looks_for_them(env, still):
    from isaaclab.utils.math import quat_apply

    expert = entry_point(COMPLETE, "expert")(env)
    positions = torch.rand(NUM_ENVS, 6, generator=torch.Generator().manual_seed(0))
    positions *= torch.tensor([element.goal for element in ELEMENTS.values()])
    set_elements(env, positions)
    env.step(still)
    kitchen, joints = env.scene["kitchen"], record(env).joint_ids
    now = kitchen.data.joint_pos.torch[:, joints]
    for index, (name, element) in enumerate(ELEMENTS.items()):
        body = kitchen.find_bodies([f"{name}_link"])[0]
        pos = kitchen.data.body_pos_w.torch[:, body].squeeze(1) - env.scene.env_origins
        quat = kitchen.data.body_quat_w.torch[:, body].squeeze(1)
        handle = pos + quat_apply(quat, torch.tensor(element.handle).expand(NUM_ENVS, 3))
        seen, _ = expert._handle_at(torch.full((NUM_ENVS,), index), now[:, index])
        assert torch.allclose(seen, handle, atol=2e-3), name


# -- what counts ------------------------------------------------------------------------------------------------------


def test_elements_count_from_their_thresholds_on(env, still):
    thresholds = torch.tensor([element.threshold for element in ELEMENTS.values()])
    set_elements(env, torch.stack((0.99 * thresholds, 1.01 * thresholds)))
    now = record(env).now()
    assert now[0].tolist() == [False] * 7
    assert now[1].tolist() == [False] + [True] * 6


def test_the_kettle_counts_on_its_burner_upright_and_let_go(env, still, monkeypatch):
    x, y = BACK_BURNER
    up, lying = (0.0, 0.0, 0.0, 1.0), (0.7071, 0.0, 0.0, 0.7071)
    turned = (0.0, 0.0, 0.7071, 0.7071)
    poses = [
        (x, y, 0.0, *up),
        (x, y, 0.0, *turned),
        (x + KETTLE_TOLERANCE + 0.002, y, 0.0, *up),
        (x - KETTLE_TOLERANCE + 0.002, y, 0.0, *up),
        (x, y, 0.05, *up),
        (x, y, 0.0, *lying),
    ]
    set_kettle(env, poses)
    assert record(env).now()[:6, 0].tolist() == [True, True, False, True, False, False]
    tool = env.scene["robot"].data.body_pos_w.torch[0, env.scene["robot"].find_bodies(["panda_hand"])[0][0]]
    tool = tool - env.scene.env_origins[0]
    monkeypatch.setattr(record(env), "_back", tool[:2])
    set_kettle(env, [(*tool[:2].tolist(), 0.0, *up)])
    assert record(env).now()[0, 0]
    reach = (0.0, 0.0, TCP_OFFSET[2] + 0.10)
    monkeypatch.setattr(record(env).cfg, "offset", reach)  # a longer tool is at the handle
    assert not record(env).now()[0, 0]


def test_each_target_earns_one_once_and_all_of_them_end_the_episode(env, still):
    """In environment 0 targets come one by one, in environment 1 things that are no targets."""
    goals = {name: element.goal for name, element in ELEMENTS.items()}
    positions = torch.zeros(2, 6)
    rewards = []

    def step() -> torch.Tensor:
        set_elements(env, positions)
        _, reward, terminated, *_ = env.step(still)
        rewards.append(reward[:2].tolist())
        return terminated

    positions[0, NAMES.index("microwave")] = goals["microwave"]
    positions[1, NAMES.index("hinge_cabinet")] = goals["hinge_cabinet"]
    assert not step().any()
    positions[0, NAMES.index("microwave")] = 0.0
    assert not step().any(), "what was done once stays done"
    positions[0, NAMES.index("microwave")] = goals["microwave"]
    assert not step().any()
    for name in ("light_switch", "slide_cabinet"):
        positions[0, NAMES.index(name)] = goals[name]
    assert not step().any()
    assert record(env).solved[:2].tolist() == [3, 0]
    assert record(env).done[1].nonzero().flatten().tolist() == [SUBTASKS.index("hinge_cabinet")]
    set_kettle(env, [(*BACK_BURNER, 0.0, 0.0, 0.0, 0.0, 1.0)])
    assert step().nonzero().flatten().tolist() == [0]
    assert rewards == [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]
    log = env.extras["log"]
    assert log["Metrics/subtasks/solved"] == 4.0
    assert log["Metrics/subtasks/kettle"] == 1.0 and log["Metrics/subtasks/hinge_cabinet"] == 0.0
    assert not record(env).done[0].any() and record(env).done[1].any(), "only the ended episode is forgotten"


def test_the_goal_is_where_targets_shall_be(env, still):
    obs, *_ = env.step(still)
    seen = obs["policy"][0, 22:]
    assert obs["policy"].shape == (NUM_ENVS, 35)
    assert torch.allclose(seen[:7], torch.tensor([*BACK_BURNER, 0.0, 0.0, 0.0, 0.0, 1.0]))
    wanted = [element.goal if name in TASKS[COMPLETE] else 0.0 for name, element in ELEMENTS.items()]
    assert seen[7:].tolist() == pytest.approx(wanted)


def test_kettles_begin_in_different_places_near_the_front_burner(env):
    starts = []
    for seed in (0, 1, 0):
        env.reset(seed=seed)
        starts.append((env.scene["kettle"].data.root_pos_w.torch - env.scene.env_origins)[:, :2].clone())
    first = env.scene["kettle"].data.default_root_pose.torch[:, :2]
    assert (starts[0] - first).abs().max() <= 0.015 + 1e-5
    assert (starts[0] - first).std(dim=0).min() > 0.004
    assert torch.equal(starts[0], starts[2]) and not torch.equal(starts[0], starts[1])


def test_random_actions_break_nothing(env):
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        env.step(torch.rand(NUM_ENVS, 9, generator=generator) * 2.0 - 1.0)
        assert not non_finite(env)


# -- experts ----------------------------------------------------------------------------------------------------------


def test_the_expert_does_all_targets(env):
    total, _ = solved_by(env, entry_point(COMPLETE, "expert")(env))
    assert (total == 4.0).float().mean() >= 0.9, total.tolist()


@pytest.mark.slow
def test_a_clumsy_expert_is_worse(env):
    total, _ = solved_by(env, entry_point(COMPLETE, "expert")(env, quality=0.0, seed=1))
    assert (total == 4.0).float().mean() < 0.9
