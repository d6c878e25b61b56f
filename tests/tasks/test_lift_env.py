# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The lift environment on Newton: chunks, latched events, resets, broken states."""

import pytest
import torch

from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

HORIZON = 4


@pytest.fixture(scope="module")
def env(make_env):
    with make_env(horizon=HORIZON) as env, torch.inference_mode():
        yield env


@pytest.fixture(autouse=True)
def fresh(env):
    """Each test begins with new episodes."""
    env.reset(seed=0)


@pytest.fixture
def still(env) -> torch.Tensor:
    """Chunk that holds the arm still with the gripper open, shape (E, H * A)."""
    return torch.zeros(env.num_envs, 7 * HORIZON)


def place_cubes(env, env_ids: list[int], height: float) -> None:
    """Put cubes at a height [m] beside the arm, farther out than any reset does, at rest."""
    state = env.scene["object"].data.default_root_pose.torch[env_ids].clone()
    state[:, :3] += env.scene.env_origins[env_ids]
    state[:, 1] += 0.3
    state[:, 2] = height
    ids = torch.tensor(env_ids, dtype=torch.int32)
    env.scene["object"].write_root_pose_to_sim_index(root_pose=state, env_ids=ids)
    env.scene["object"].write_root_velocity_to_sim_index(root_velocity=torch.zeros(len(ids), 6), env_ids=ids)


class Counter:
    """Counts the calls of a method while letting them through, and keeps their first argument."""

    def __init__(self, monkeypatch, owner, name: str):
        self.args: list[torch.Tensor] = []
        self.count = 0
        original = getattr(owner, name)

        def call(*args):
            self.count += 1
            self.args += [arg.clone() for arg in args[:1]]
            return original(*args)

        monkeypatch.setattr(owner, name, call)


def test_each_action_of_a_chunk_is_executed_once_and_in_order(env, monkeypatch):
    chunk = env.action_manager.get_term("chunk")
    arm, gripper = chunk.terms
    arm_processed = Counter(monkeypatch, arm, "process_actions")
    arm_applied = Counter(monkeypatch, arm, "apply_actions")
    gripper_processed = Counter(monkeypatch, gripper, "process_actions")
    actions = torch.rand(env.num_envs, HORIZON, 7) * 2.0 - 1.0
    env.step(actions.flatten(1))
    assert arm_applied.count == HORIZON, "inverse kinematics is solved once per action"
    assert torch.equal(torch.stack(arm_processed.args, 1), actions[..., :6])
    assert torch.equal(torch.stack(gripper_processed.args, 1), actions[..., 6:])


def test_an_action_that_lasts_two_ticks_is_handed_over_on_the_first(env, still, monkeypatch):
    chunk = env.action_manager.get_term("chunk")
    monkeypatch.setattr(env.cfg, "decimation", 2 * HORIZON)
    monkeypatch.setattr(chunk, "_ticks_per_action", 2)
    ticks = Counter(monkeypatch, chunk, "apply_actions")
    solved = Counter(monkeypatch, chunk.terms[0], "apply_actions")
    env.step(still)
    assert (ticks.count, solved.count) == (2 * HORIZON, HORIZON)


def test_raw_actions_are_clamped(env, still):
    env.step(still + 3.0)
    chunk = env.action_manager.get_term("chunk")
    assert (chunk.processed_actions == 1.0).all()
    assert (chunk.raw_actions == 3.0).all()


def test_physics_that_runs_the_decimation_loop_itself_is_refused(env, still, monkeypatch):
    monkeypatch.setattr(env, "_physics_handles_decimation", True)
    with pytest.raises(RuntimeError, match="only the first action of each chunk"):
        env.step(still)


def test_reset_clears_the_chunk_of_that_environment_only(env, still):
    env.step(still + 0.5)
    chunk = env.action_manager.get_term("chunk")
    env._reset_idx(torch.tensor([1], dtype=torch.int32))
    assert (chunk.processed_actions[1] == 0.0).all()
    assert (chunk.raw_actions[1] == 0.0).all()
    assert (chunk.processed_actions[0] == 0.5).all()


def test_success_inside_a_chunk_is_latched(env, still, monkeypatch):
    """A cube that is high after the second tick only still solves the task, exactly once."""
    chunk = env.action_manager.get_term("chunk")
    ticks = []

    def move() -> None:
        ticks.append(None)
        if len(ticks) == 2:
            place_cubes(env, [3], 0.5)
        elif len(ticks) == 3:
            place_cubes(env, [3], 0.025)

    # Runs before the latches look, which then see what physics would have made.
    monkeypatch.setattr(chunk, "_callbacks", [move, *chunk._callbacks])
    _, reward, terminated, truncated, extras = env.step(still)
    assert env.scene["object"].data.root_pos_w.torch[3, 2] < 0.1
    assert terminated.nonzero().squeeze(-1).tolist() == [3]
    assert not truncated.any()
    assert reward[3] == 1.0 and reward.sum() == 1.0
    assert extras["log"]["Metrics/success_rate"] == 1.0, "one episode is over, and it was solved"
    assert extras["log"]["Metrics/success_known"] == 1.0 / env.num_envs, "the log says of how many that is"
    _, reward, terminated, *_ = env.step(still)
    assert not terminated.any() and reward.sum() == 0.0, "the reset has opened the latch"


def test_final_obs_is_the_observation_before_the_reset(env, still):
    place_cubes(env, [2], 0.3)
    obs, _, terminated, _, extras = env.step(still)
    assert terminated.nonzero().squeeze(-1).tolist() == [2], "latched while it fell through the goal height"
    cube_y = 10
    final = extras["final_obs"]["policy"]
    assert (final[2, cube_y] - 0.3).abs() < 0.01
    assert obs["policy"][2, cube_y].abs() <= 0.2
    others = torch.arange(env.num_envs) != 2
    assert torch.equal(obs["policy"][others], final[others])


def test_broken_state_ends_only_its_own_episode(env, still):
    nan = torch.full((1, 6), float("nan"))
    env.scene["object"].write_root_velocity_to_sim_index(
        root_velocity=nan, env_ids=torch.tensor([5], dtype=torch.int32)
    )
    obs, reward, terminated, truncated, extras = env.step(still)
    assert terminated.nonzero().squeeze(-1).tolist() == [5]
    assert env.termination_manager.get_term("non_finite").nonzero().squeeze(-1).tolist() == [5]
    assert reward.sum() == 0.0
    assert extras["log"]["Metrics/non_finite_count"] == 1
    assert torch.isfinite(obs["policy"]).all() and torch.isfinite(extras["final_obs"]["policy"]).all()
    obs, _, terminated, *_ = env.step(still)
    assert not non_finite(env) and not terminated.any(), "the reset has repaired the environment"


def test_a_cube_that_is_thrown_away_is_not_lifted(env, still):
    place_cubes(env, [1], 1000.0)
    _, reward, terminated, *_ = env.step(still)
    assert not terminated.any() and reward.sum() == 0.0


def test_a_fallen_cube_ends_the_episode_without_reward(env, still):
    place_cubes(env, [0], -0.5)
    _, reward, terminated, *_ = env.step(still)
    assert terminated.nonzero().squeeze(-1).tolist() == [0]
    assert reward.sum() == 0.0


def test_time_out_is_a_truncation_after_thirty_seconds(env, still):
    done_at = {}
    for step in range(1, 76):
        _, _, terminated, truncated, extras = env.step(still)
        assert not terminated.any()
        if truncated.any():
            done_at[step] = int(truncated.sum())
    assert done_at == {75: env.num_envs}, "300 control ticks of 0.1 s"
    assert "time_outs" not in extras or extras["time_outs"].all()


def test_reset_draws_the_documented_range(env):
    pos, quat = [], []
    for seed in range(8):
        env.reset(seed=seed)
        pos.append(env.scene["object"].data.root_pos_w.torch - env.scene.env_origins)
        quat.append(env.scene["object"].data.root_quat_w.torch)
    pos, quat = torch.cat(pos), torch.cat(quat)
    low, high = pos.amin(0), pos.amax(0)
    assert 0.4 <= low[0] < 0.42 and 0.58 < high[0] <= 0.6 + 1e-6
    assert -0.2 - 1e-6 <= low[1] < -0.18 and 0.18 < high[1] <= 0.2 + 1e-6
    yaw = 2.0 * torch.atan2(quat[:, 2], quat[:, 3])
    assert -0.7855 < yaw.min() < -0.7 and 0.7 < yaw.max() < 0.7855


def test_replayed_physics_equals_eager_physics_bit_by_bit(env, monkeypatch):
    from flow_rl_tasks.physics.newton_cpu_graph import NewtonMJWarpCpuGraphManager as Manager

    def run() -> torch.Tensor:
        env.reset(seed=3)
        generator = torch.Generator().manual_seed(0)
        states = []
        for _ in range(3):
            actions = torch.rand(env.num_envs, 7 * HORIZON, generator=generator) * 2.0 - 1.0
            states.append(env.step(actions)[0]["policy"])
        return torch.stack(states)

    replayed = run()
    assert Manager._cpu_graph is not None, "recording must have worked"
    monkeypatch.setattr(Manager, "cpu_graph_enabled", False)
    assert torch.equal(run(), replayed)


def test_failed_recording_falls_back_to_eager_physics(env, still, monkeypatch, caplog):
    from flow_rl_tasks.physics import newton_cpu_graph

    manager = newton_cpu_graph.NewtonMJWarpCpuGraphManager
    monkeypatch.setattr(manager, "_cpu_graph", None)
    monkeypatch.setattr(manager, "cpu_graph_enabled", True)

    def fail(*args, **kwargs):
        raise RuntimeError("no capture here")

    monkeypatch.setattr(newton_cpu_graph.wp, "ScopedCapture", fail)
    env.step(still)
    assert not non_finite(env)
    assert sum("no capture here" in record.message for record in caplog.records) == 1
