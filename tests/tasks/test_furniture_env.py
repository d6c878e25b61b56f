# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The furniture environments on both engines: beginnings, threads, broken states, whole episodes."""

import dataclasses
import math
import textwrap

import pytest
import torch

from flow_rl.cli.launch import entry_point
from flow_rl.configs import learners
from flow_rl.models import check_compatible
from tests.commands import run_python
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

ENGINES = ("ovphysx", "newton_mjwarp")
PARTS = {"OneLeg": 2, "Lamp": 3, "RoundTable": 3}
JOINTS = {"OneLeg": 1, "Lamp": 2, "RoundTable": 2}
TASKS = [f"FlowRL-{name}-{randomness}-Franka" for name in PARTS for randomness in ("Low", "Med")]
ONE_LEG = "FlowRL-OneLeg-Low-Franka"


def furniture_of(task: str) -> str:
    return task.split("-")[1]


def env_cfg(task: str):
    return entry_point(task, "env_cfg")()


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_every_learner_has_settings_that_suit_the_task(task):
    horizon = env_cfg(task).actions.chunk.horizon
    for learner in (*learners(), "pretrain"):
        cfg = entry_point(task, f"{learner}_cfg")()
        assert cfg.actor.horizon == horizon == 8, learner
        if learner == "rldt":
            assert cfg.algorithm.value_range == [0.0, float(JOINTS[furniture_of(task)])]
    assert entry_point(task, "expert")
    assert len(env_cfg(task).furniture.joints) == JOINTS[furniture_of(task)]


@pytest.mark.parametrize("task", TASKS)
def test_episodes_last_as_long_as_documented(task):
    cfg = env_cfg(task)
    ticks = 700 if furniture_of(task) == "OneLeg" else 1000
    assert round(cfg.episode_length_s / cfg.sim.dt) == ticks
    cfg.set_horizon(1)
    assert (cfg.decimation, cfg.actions.chunk.horizon) == (1, 1)


@pytest.mark.parametrize(("task", "engine"), [*((task, "ovphysx") for task in TASKS[::2]), (ONE_LEG, ENGINES[1])])
def test_sizes_of_observations_and_actions(make_env, task, engine):
    with make_env(horizon=None, num_envs=2, task=task, physics=engine) as env, torch.inference_mode():
        obs, _ = env.reset(seed=0)
        assert obs["policy"].shape == (2, 16 + 9 * PARTS[furniture_of(task)])
        assert obs["privileged"].shape == (2, 23 * JOINTS[furniture_of(task)])
        assert env.action_manager.total_action_dim == 8 * 10
        assert env.step(torch.zeros(2, 80))[1].tolist() == [0.0, 0.0]
        assert not non_finite(env)


def overridden(task: str, *words: str) -> dict:
    """Values of all fields of the checked configuration by their paths, as overrides leave them."""
    from isaaclab_tasks.utils import resolve_task_config

    cfg, _ = resolve_task_config(task, None, overrides=list(words))
    cfg.validate()
    return leaves(cfg)


def leaves(node, path: str = "env") -> dict:
    """Values below a node by their paths."""
    if isinstance(node, dict) or dataclasses.is_dataclass(node):
        fields = node if isinstance(node, dict) else vars(node)
        return {key: value for name, child in fields.items() for key, value in leaves(child, f"{path}.{name}").items()}
    return {path: list(node) if isinstance(node, tuple) else node}


def is_number(value) -> bool:
    numbers = value if isinstance(value, list) and value else [value]
    return all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)


READ_WHERE_THEY_ARE = ("grasp", "lying_grasp")
"""Fields of parts that experts and recorders look up; nothing is made of them before."""


@pytest.mark.parametrize("task", [TASKS[0], TASKS[-1]])
def test_each_number_that_can_be_overridden_acts(task):
    entry_point(task, "env_cfg")
    default = overridden(task)
    fields = {path: value for path, value in default.items() if path.startswith(("env.randomization", "env.furniture"))}
    fields = {path: value for path, value in fields.items() if is_number(value)}
    assert {"env.randomization.joints", "env.furniture.clearance", "env.furniture.parts.leg.start.rpy"} <= set(fields)
    for path, value in fields.items():
        factor = 0.9 if "colour" in path else 1.1
        other = [factor * number + 0.001 for number in value] if isinstance(value, list) else factor * value
        present = overridden(task, f"{path}={str(other).replace(' ', '')}")
        changed = {key for key in present if present[key] != default[key]} - {path}
        assert changed or path.split(".")[-1] in READ_WHERE_THEY_ARE, path


def test_overrides_of_ranges_and_parts_reach_the_simulator():
    entry_point(ONE_LEG, "env_cfg")
    words = ["env.randomization.position=0.05", "env.randomization.joints=0.2", "env.furniture.clearance=0.001"]
    cfg = overridden(ONE_LEG, *words, "env.furniture.parts.leg.mass=0.2", "env.events.reset_parts.params.yaw=0.1")
    assert cfg["env.events.reset_parts.params.position"] == 0.05 and cfg["env.events.reset_parts.params.yaw"] == 0.1
    assert cfg["env.events.reset_arm.params.position_range"] == [-0.2, 0.2]
    from flow_rl_tasks.furniture.one_leg.one_leg import one_leg

    shapes = list(one_leg(0.001).parts["top"].shapes)
    assert cfg["env.scene.top.spawn.shapes"] == cfg["env.furniture.parts.top.shapes"] == shapes
    assert cfg["env.scene.leg.spawn.mass_props.mass"] == 0.2


def test_what_was_overridden_itself_does_not_follow():
    entry_point(ONE_LEG, "env_cfg")
    words = ["env.randomization.position=0.05", "env.events.reset_parts.params.position=0.02"]
    words += ["env.furniture.parts.leg.mass=0.2", "env.scene.leg.spawn.mass_props.mass=0.3"]
    cfg = overridden(ONE_LEG, *words, "env.furniture.parts.leg.start.pos=[0.4,0.0,0.1]")
    assert cfg["env.events.reset_parts.params.position"] == 0.02
    assert cfg["env.scene.leg.spawn.mass_props.mass"] == 0.3
    assert cfg["env.scene.leg.init_state.pos"] == [0.4, 0.0, 0.1]


def test_a_clearance_that_cannot_be_changed_is_refused():
    entry_point(ONE_LEG, "env_cfg")
    for words in (["env.furniture.clearance=-0.001"], ["env.make=none", "env.furniture.clearance=0.001"]):
        with pytest.raises(ValueError, match="clearance ?= ?-?0.001"):
            overridden(ONE_LEG, *words)


def test_rotations_of_parts_may_be_what_they_were():
    """Checkpoints from before know quaternions, and a refusal says how to go on with them."""
    task = f"{ONE_LEG}-Vision"
    entry_point(task, "env_cfg")
    assert overridden(task)["env.observations.state.parts.params.rotation"] == "rot6d"
    assert overridden(task, "env.part_rotation=quat")["env.observations.state.parts.params.rotation"] == "quat"
    state = overridden(ONE_LEG, "env.part_rotation=quat")
    assert state["env.observations.policy.parts.params.rotation"] == "quat"
    with pytest.raises(ValueError, match="env.part_rotation = 'euler' .*'rot6d', 'quat'"):
        overridden(ONE_LEG, "env.part_rotation=euler")
    before, now = ({"obs_groups": {"policy": dim}, "action_dim": 10, "horizon": 8} for dim in (30, 34))
    with pytest.raises(ValueError, match="env.part_rotation=quat"):
        check_compatible({"policy": before, "task": ONE_LEG}, now, ONE_LEG)


def test_physx_has_no_threads_of_its_own_on_the_cpu(make_env):
    """The host's eight spin: a step takes twice as long on two cores, and two workers of this suite hardly advance."""
    from ovphysx import ConfigInt32

    from isaaclab_ov.physics.ovphysx_manager import OvPhysxManager

    with make_env(horizon=1, num_envs=2, task=ONE_LEG, physics="ovphysx") as env:
        env.reset(seed=0)
        assert OvPhysxManager.backend.physx.get_config_int32(ConfigInt32.NUM_THREADS) == 0
        assert env.cfg.sim.physics.num_threads == 0


# -- beginnings -------------------------------------------------------------------------------------------------------


def beginnings(env, seed: int) -> dict[str, torch.Tensor]:
    """Where parts begin relative to the data: shift along x, y and z, turn about the vertical, lean, shape (E, 5)."""
    from isaaclab.utils.math import matrix_from_quat

    env.reset(seed=seed)
    found = {}
    for name, part in env.cfg.furniture.parts.items():
        data = env.scene[name].data
        shift = data.root_pos_w.torch - env.scene.env_origins - torch.tensor(part.start.pos)
        start = matrix_from_quat(torch.tensor([part.start.quat()]))
        turn = matrix_from_quat(data.root_quat_w.torch) @ start.transpose(1, 2)
        yaw = torch.atan2(turn[:, 1, 0], turn[:, 0, 0])
        lean = turn[:, 2, :2].norm(dim=1)
        found[name] = torch.cat((shift, yaw.unsqueeze(1), lean.unsqueeze(1)), dim=1)
        assert data.root_com_vel_w.torch.abs().max() == 0.0
    return found


@pytest.mark.parametrize("task", TASKS)
def test_parts_begin_near_their_places(make_env, task):
    position, yaw = (0.015, math.radians(15)) if "Low" in task else (0.05, math.radians(45))
    with make_env(horizon=1, num_envs=32, task=task, physics="ovphysx") as env, torch.inference_mode():
        first, second, again = beginnings(env, 0), beginnings(env, 1), beginnings(env, 0)
        robot = env.scene["robot"].data
        arm = (robot.joint_pos.torch - robot.default_joint_pos.torch)[:, :7].abs()
    assert arm.max() <= (0.03 if "Low" in task else 0.1) + 1e-6 and arm.max() > 0.02
    for name, values in first.items():
        assert torch.equal(values, again[name]) and not torch.isclose(values, second[name]).all(dim=1).any()
        both = torch.cat((values, second[name]))
        assert both[:, :2].abs().max() <= position + 1e-6 and both[:, 3].abs().max() <= yaw + 1e-4
        assert both[:, 2].abs().max() < 1e-5 and both[:, 4].max() < 1e-3, "neither raised nor tipped over"
        # 64 draws fill at least nine tenths of their range but once in five hundred times
        for column, bound in ((0, position), (1, position), (3, yaw)):
            assert both[:, column].max() > 0.8 * bound and both[:, column].min() < -0.8 * bound
    parts = list(first.values())
    assert not torch.isclose(parts[0][:, :2], parts[1][:, :2]).all(dim=1).any(), "each part on its own"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_seed_gives_the_same_episode(make_env, engine):
    from flow_rl_tasks.furniture.expert import AssemblyExpert

    def run(seed: int) -> torch.Tensor:
        with make_env(horizon=1, num_envs=4, task=ONE_LEG, physics=engine, seed=seed) as env, torch.inference_mode():
            obs, _ = env.reset(seed=seed)
            expert = AssemblyExpert(env, quality=0.5, seed=seed)
            return torch.stack([obs["policy"], *(env.step(expert.act())[0]["policy"] for _ in range(40))])

    first = run(0)
    assert torch.equal(first, run(0))
    assert not torch.isclose(first[0], run(1)[0]).all(dim=1).any()


# -- moving parts by hand ----------------------------------------------------------------------------------------------


def write(env, name: str, env_ids: list[int], pose: torch.Tensor | None = None, velocity: torch.Tensor | None = None):
    """Write the pose, shape (N, 7), and velocity, shape (N, 6), of a part."""
    ids = torch.tensor(env_ids, dtype=torch.int32)
    if pose is not None:
        env.scene[name].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
    velocity = torch.zeros(len(ids), 6) if velocity is None else velocity
    env.scene[name].write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=ids)


def seat(env, joint: int, env_ids: list[int], depth: float, frame: int = 0) -> None:
    """Bring the part of a joint to one of its places, at rest and at a depth [m]."""
    from isaaclab.utils.math import combine_frame_transforms

    joint = env.cfg.furniture.joints[joint]
    onto = env.scene[joint.onto].data.root_link_pose_w.torch[env_ids]
    place = torch.tensor([joint.onto_frames[frame].transform()]).expand(len(env_ids), 7)
    pos, quat = combine_frame_transforms(onto[:, :3], onto[:, 3:], place[:, :3], place[:, 3:])
    pos[:, 2] -= depth + joint.part_frame.pos[2]
    write(env, joint.part, env_ids, torch.cat((pos, quat), dim=1))


def hold_still(env) -> torch.Tensor:
    """Action that holds the arm where it is, with the gripper open, shape (E, A)."""
    arm = env.action_manager.get_term("chunk").terms[0]
    return torch.cat((arm.raw_action(*arm._compute_frame_pose()), torch.ones(env.num_envs, 1)), dim=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", TASKS[2::2])
def test_a_part_that_is_set_down_makes_the_second_joint(make_env, task, engine):
    with make_env(horizon=1, num_envs=2, task=task, physics=engine) as env, torch.inference_mode():
        env.reset(seed=0)
        still = hold_still(env)
        seat(env, 0, [0, 1], depth=0.0205)
        env.step(still)
        joint = env.cfg.furniture.joints[1]
        seat(env, 1, [0], depth=joint.depth - 0.004)
        earned = torch.zeros(2)
        for _ in range(3):
            earned += env.step(still)[1]
        assert env.assembly.made.tolist() == [[0, 1], [0, 0]], "one was set down, one was left where it began"
        assert earned.tolist() == [1.0, 0.0]
        assert (env.assembly.depth[0, 1] - joint.depth).abs() < joint.depth_tolerance


# -- whole episodes ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "engine"), [*((task, "ovphysx") for task in TASKS), *((task, "newton_mjwarp") for task in TASKS[::2])]
)
def test_whole_episodes_are_finite(make_env, task, engine):
    generator = torch.Generator().manual_seed(0)
    with make_env(horizon=None, num_envs=4, task=task, physics=engine) as env, torch.inference_mode():
        for scale in (0.0, 1.0):
            env.reset(seed=0)
            for step in range(1, env.max_episode_length + 1):
                action = scale * (2.0 * torch.rand(4, 80, generator=generator) - 1.0)
                _, reward, terminated, truncated, _ = env.step(action)
                assert not non_finite(env)
                if scale == 0.0:
                    assert reward.sum() == 0.0 and not terminated.any()
                    assert bool(truncated.all()) == bool(truncated.any()) == (step == env.max_episode_length)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS[::2])
def test_the_solvers_buffers_are_large_enough(task, tmp_path):
    """In a process of its own, because kernels print their warnings past Python."""
    script = f"""
    import torch
    torch.set_num_threads(1)
    from flow_rl.cli import launch, options
    from flow_rl_tasks.furniture.expert import AssemblyExpert
    from flow_rl.testing import first_episodes
    args, overrides = options.Parser("test").parse(
        ["--task", "{task}", "--device", "cpu", "--num_envs", "8", "physics=newton_mjwarp"])
    with launch.launch_env(args, launch.env_config(args, overrides, horizon=1)) as env, torch.inference_mode():
        print("SOLVED", int(first_episodes(env, AssemblyExpert(env)).sum()))
    """
    run = run_python("-c", textwrap.dedent(script), cwd=tmp_path)
    output = run.stdout + run.stderr
    assert "SOLVED" in output, output[-2000:]
    assert int(output.split("SOLVED")[1].split()[0]) > 0, "parts have met"
    assert "overflow" not in output.lower(), [line for line in output.splitlines() if "overflow" in line.lower()][:3]


# -- one environment on each engine; last, because it stays open until the end of the file ---------------------------


@pytest.fixture(scope="module", params=ENGINES)
def env(request, make_env):
    with make_env(horizon=1, num_envs=8, task=ONE_LEG, physics=request.param) as env, torch.inference_mode():
        env.engine = request.param
        yield env


@pytest.fixture
def still(env) -> torch.Tensor:
    """New episodes, and the action that holds the arm where it begins, away from the parts, shape (E, A)."""
    env.reset(seed=0)
    return hold_still(env)


def insert_leg(env, env_ids: list[int]) -> None:
    """Stand the leg in the hole that is farthest from the robot, where its thread begins."""
    seat(env, 0, env_ids, depth=0.0205, frame=-1)


def turn_leg(env, action: torch.Tensor, env_ids: list[int], turn: float) -> None:
    """Push the leg round, tick by tick, until it has turned clockwise by ``turn`` [rad]."""
    for _ in range(60):
        short = [i for i in env_ids if env.assembly.turn[i, 0] < turn]
        if not short:
            return
        velocity = torch.zeros(len(short), 6)
        velocity[:, 5] = -6.0
        write(env, "leg", short, velocity=velocity)
        env.step(action)
    raise AssertionError(f"turned by {env.assembly.turn[env_ids, 0].tolist()} only")


def heights(env) -> torch.Tensor:
    """Height of the leg above the top [m], shape (E,)."""
    leg, top = (env.scene[name].data.root_pos_w.torch for name in ("leg", "top"))
    return leg[:, 2] - top[:, 2]


def motion(env) -> torch.Tensor:
    """Kinetic energy of the leg per half its mass [m^2/s^2], roughly, shape (E,)."""
    velocity = env.scene["leg"].data.root_com_vel_w.torch
    return velocity[:, :3].square().sum(dim=1) + 1e-3 * velocity[:, 3:].square().sum(dim=1)


def test_a_turned_leg_advances_on_the_helix(env, still):
    some = [0, 3, 5]
    thread = env.cfg.furniture.joints[0].thread
    insert_leg(env, some)
    for _ in range(5):
        env.step(still)
    assembly = env.assembly
    assert assembly.engaged[:, 0].nonzero().squeeze(-1).tolist() == some
    begin, turned = heights(env)[some], assembly.turn[some, 0].clone()
    turn_leg(env, still, some, 3.0)
    for _ in range(5):
        env.step(still)
    helix = thread.engage_depth + thread.pitch * assembly.turn[some, 0] / (2 * math.pi)
    assert (assembly.depth[some, 0] - helix).abs().max() < 1e-4
    advance = thread.pitch * (assembly.turn[some, 0] - turned) / (2 * math.pi)
    assert (begin - heights(env)[some] - advance).abs().max() < 1e-4, "so say the poses, too"
    assert assembly.turn[some, 0].min() > 3.0
    assert assembly.made.sum() == 0


def test_a_leg_left_in_its_thread_stays(env, still):
    insert_leg(env, [1, 2])
    env.step(still)
    turn_leg(env, still, [1], 2.0)
    for _ in range(5):
        env.step(still)
    depth, turn = env.assembly.depth[[1, 2], 0].clone(), env.assembly.turn[[1, 2], 0].clone()
    for _ in range(50):
        env.step(still)
        assert (env.assembly.depth[[1, 2], 0] - depth).abs().max() < 5e-4
    assert (env.assembly.turn[[1, 2], 0] - turn).abs().max() < 0.05
    assert env.assembly.engaged[[1, 2], 0].all()
    assert motion(env)[[1, 2]].max() < 1e-5


def test_a_shaken_leg_comes_to_rest(env, still):
    insert_leg(env, [0, 1, 2])
    for _ in range(5):
        env.step(still)
    velocity = torch.zeros(3, 6)
    velocity[0, 2] = 0.05
    velocity[1, 3] = 0.5
    velocity[2, 5] = 3.0
    write(env, "leg", [0, 1, 2], velocity=velocity)
    pushed = (velocity[:, :3].square().sum(dim=1) + 1e-3 * velocity[:, 3:].square().sum(dim=1)).clone()
    for _ in range(20):
        env.step(still)
        assert (motion(env)[:3] <= pushed).all()
    assert (motion(env)[:3] < 0.01 * pushed).all()
    assert env.assembly.engaged[:3, 0].all()


def test_the_last_turn_earns_the_reward_and_ends_the_episode(env, still):
    insert_leg(env, [4])
    env.step(still)
    turn_leg(env, still, [4], 4.0)
    total, ended = torch.zeros(env.num_envs), []
    velocity = torch.zeros(1, 6)
    velocity[:, 5] = -6.0
    for _ in range(10):
        write(env, "leg", [4], velocity=velocity)
        _, reward, terminated, truncated, _ = env.step(still)
        total += reward
        ended += terminated.nonzero().squeeze(-1).tolist()
        assert not truncated.any()
        if ended:
            break
    assert ended == [4] and env.termination_manager.get_term("success").tolist() == [i == 4 for i in range(8)]
    assert total.tolist() == [1.0 if i == 4 else 0.0 for i in range(8)]
    assert env.assembly.made.sum() == 0 and env.assembly.turn[4, 0] == 0.0, "the next episode begins"


def test_critics_see_what_the_assembly_measures(env, still):
    """Where the leg is relative to the nearest hole, where the tool is relative to the leg, and what was done."""
    insert_leg(env, [0, 1])
    env.step(still)
    turn_leg(env, still, [0], 1.0)
    obs, measured = env.observation_manager.compute(), env.assembly
    seen, policy = obs["privileged"], obs["policy"]
    pos = 0.1 * seen[:, :3].double().atanh()
    torch.testing.assert_close(-pos[:2, 2], measured.depth[:2, 0].double(), atol=5e-4, rtol=0)
    torch.testing.assert_close(pos[:, :2].norm(dim=1), measured.lateral[:, 0].double(), atol=1e-3, rtol=0)
    for first, scale in ((3, 0.02), (6, 0.005)):
        torch.testing.assert_close(seen[:, first : first + 3].double(), (pos / scale).tanh(), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[:, 11].acos()[2:], measured.tilt[2:, 0], atol=1e-2, rtol=0)
    yaw = torch.atan2(seen[:2, 13], seen[:2, 12])
    torch.testing.assert_close(yaw, measured._yaw[:2, 0], atol=0.02, rtol=0)
    tool = policy[:, :3] - (env.scene["leg"].data.root_pos_w.torch - env.scene.env_origins)
    torch.testing.assert_close(0.1 * seen[:, 14:17].atanh().norm(dim=1), tool.norm(dim=1), atol=2e-3, rtol=0)
    turn = env.cfg.furniture.joints[0].thread.turn
    torch.testing.assert_close(seen[:, 20], measured.turn[:, 0] / turn)
    assert seen[0, 20] > 0.2 and seen[:, 21].tolist() == [1.0] * 2 + [0.0] * 6 and not seen[:, 22].any()
    assert not env.reset(seed=0)[0]["privileged"][:, 20:].any()


def test_parts_are_seen_from_the_tool(env):
    """Of each part the vector from the tool and the orientation, both along the environment's axes."""
    from isaaclab.utils.math import matrix_from_quat

    obs = env.reset(seed=3)[0]["policy"]
    for index, name in enumerate(("top", "leg")):
        seen, data = obs[:, 16 + 9 * index :][:, :9], env.scene[name].data
        torch.testing.assert_close(obs[:, :3] + seen[:, :3], data.root_pos_w.torch - env.scene.env_origins)
        matrix = matrix_from_quat(data.root_quat_w.torch)
        torch.testing.assert_close(seen[:, 3:], torch.cat((matrix[..., 0], matrix[..., 1]), dim=1))


def test_a_part_that_turns_is_seen_without_jumps(env):
    """A standing leg passes a half turn while it is screwed in; its quaternion with w positive jumps there."""
    from isaaclab.managers import SceneEntityCfg

    from flow_rl_tasks import mdp

    env.reset(seed=0)
    half = 0.5 * (math.pi + 0.1 * (torch.arange(env.num_envs) - 3.5))
    pose = env.scene["leg"].data.root_link_pose_w.torch.clone()
    pose[:, 3:] = torch.stack((0.0 * half, 0.0 * half, half.sin(), half.cos()), dim=1)
    write(env, "leg", list(range(env.num_envs)), pose=pose)
    seen = [func(env, SceneEntityCfg("leg")) for func in (mdp.object_rot6d, mdp.object_quat)]
    smooth, jumping = ((leg[1:] - leg[:-1]).norm(dim=1).max() for leg in seen)
    assert smooth < 0.15 and jumping > 1.9


def test_a_reset_lets_go_of_the_leg(env, still):
    insert_leg(env, [6, 7])
    env.step(still)
    turn_leg(env, still, [6, 7], 1.0)
    env._reset_idx(torch.tensor([6], dtype=torch.int32))
    assert env.assembly.engaged[:, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert env.assembly.turn[6, 0] == 0.0
    start = env.scene["leg"].data.root_pos_w.torch[6].clone()
    for _ in range(10):
        env.step(still)
    assert env.assembly.engaged[:, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    # on Newton, which finds one contact per pair of boxes, it rocks by half a millimetre
    assert (env.scene["leg"].data.root_pos_w.torch[6] - start).norm() < 0.002, "it lies where it was put"


def test_what_breaks_stays_in_its_environment(env, still):
    """On Newton a velocity is broken, of an engaged leg; PhysX is given a broken action."""
    others = torch.arange(env.num_envs) != 5

    def run(broken: bool) -> tuple[torch.Tensor, list[int]]:
        env.reset(seed=2)
        insert_leg(env, [3, 5])
        env.step(still)
        action = still.clone()
        if broken and env.engine == "newton_mjwarp":
            write(env, "leg", [5], velocity=torch.full((1, 6), math.nan))
        elif broken:
            action[5] = math.nan
        observed, ended = [], set()
        for step in range(4):
            obs, reward, terminated, *_ = env.step(action if step == 0 else still)
            assert reward.sum() == 0.0
            assert torch.equal(terminated, env.termination_manager.get_term("non_finite"))
            ended |= set(terminated.nonzero().squeeze(-1).tolist())
            observed.append(obs["policy"][others])
        assert not non_finite(env), "the reset has repaired it"
        return torch.stack(observed), sorted(ended)

    reference, ended = run(broken=False)
    assert ended == []
    observed, ended = run(broken=True)
    assert ended in ([[5]] if env.engine == "newton_mjwarp" else [[], [5]])
    assert env.assembly.engaged[3, 0] == 1
    assert torch.allclose(observed, reference, atol=1e-4), "the others do not notice"
    env.reset(seed=2)
    insert_leg(env, [5])
    env.step(still)
    assert env.assembly.engaged[5, 0] == 1, "a reset has repaired the environment"


def test_a_part_that_falls_ends_the_episode_without_reward(env, still):
    pose = env.scene["leg"].data.root_link_pose_w.torch[[2]].clone()
    pose[:, 2] = -0.5
    write(env, "leg", [2], pose)
    _, reward, terminated, *_ = env.step(still)
    assert terminated.nonzero().squeeze(-1).tolist() == [2] and reward.sum() == 0.0
    assert env.termination_manager.get_term("dropped")[2]


def test_phases_of_episodes_that_are_broken_off_are_not_logged(env, still):
    """As in the rates of :class:`~flow_rl_tasks.mdp.Latch`; a time-out counts."""
    rates = []
    for length in (1, env.max_episode_length):
        env.step(still)
        env.assembly._phases[:, 0, 0] = 1
        env.episode_length_buf[:] = length
        env.reset() if length == 1 else env.step(still)
        rates.append(env.extras["log"]["Metrics/leg_grasped_rate"].item())
    assert rates == [0.0, 1.0]
