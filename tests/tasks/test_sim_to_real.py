# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Robots and objects differ between environments if that is asked for, in the engine too, and follow the seed."""

import itertools

import pytest
import torch

from flow_rl.testing import first_episodes
from flow_rl_tasks.core.contract import describe_task
from tests.tasks.episodes import non_finite

pytestmark = pytest.mark.sim

NUM_ENVS = 4
ENGINES = ("newton_mjwarp", "ovphysx")
PRESET = "presets=sim_to_real"
G = 9.81


def engine_values(env, engine: str) -> dict[str, torch.Tensor]:
    """What the engine computes with, each of shape (E, some)."""
    robot, cube = env.scene["robot"], env.scene["object"]
    if engine == "ovphysx":
        from isaaclab_ov import tensor_types as types

        values = {
            "mass": cube.root_view.get_attribute(types.RIGID_BODY_MASS),
            "friction": cube.root_view.get_attribute(types.RIGID_BODY_SHAPE_FRICTION_AND_RESTITUTION),
            "grip": robot.root_view.get_attribute(types.SHAPE_FRICTION_AND_RESTITUTION),
            "stiffness": robot.root_view.get_attribute(types.DOF_STIFFNESS),
            "damping": robot.root_view.get_attribute(types.DOF_DAMPING),
        }
        values = {name: to_torch(value) for name, value in values.items()}
        return values | {name: values[name][..., :2].flatten(1) for name in ("friction", "grip")}
    model = env.sim.physics_manager._solver.mjw_model
    friction, gains = to_torch(model.geom_friction)[..., 0], to_torch(model.actuator_gainprm)[..., 0]
    return {
        "mass": to_torch(model.body_mass)[:, -1:],
        "friction": friction[:, -1:],
        "grip": friction[:, 1:-1],  # the table is the first
        "stiffness": gains[:, :18:2],
        "damping": gains[:, 1:18:2],
    }


def to_torch(array) -> torch.Tensor:
    import warp as wp

    return wp.to_torch(array).clone().reshape(NUM_ENVS, -1) if array.ndim < 2 else wp.to_torch(array).clone()


def check_bounds(values: dict[str, torch.Tensor]) -> None:
    """They are near what the assets say, and not equal between environments."""
    nominal = {"mass": (0.1, 0.2), "friction": (2.0, 0.3), "grip": (2.0, 0.3)}
    for name, (middle, spread) in nominal.items():
        assert (values[name] / middle - 1.0).abs().max() <= spread + 1e-5, name
    for name, (arm, fingers) in {"stiffness": (800.0, 1000.0), "damping": (40.0, 100.0)}.items():
        middle = torch.tensor([arm] * 7 + [fingers] * 2)
        assert (values[name] / middle - 1.0).abs().max() <= 0.2 + 1e-5, name
    for name, value in values.items():
        pairs = itertools.combinations(value, 2)
        assert all(not torch.equal(one, other) for one, other in pairs), name


def check_behaviour(env) -> None:
    """Heavier cubes are pushed less far, and other gains lead elsewhere."""
    hold = torch.zeros(NUM_ENVS, 7)
    cube, robot = env.scene["object"], env.scene["robot"]
    mass = cube.data.body_mass.torch.flatten()
    pose, force = cube.data.root_pose_w.torch.clone(), torch.zeros(NUM_ENVS, 1, 3)
    pose[:, 2] += 0.06  # it shall neither touch the table nor count as lifted
    cube.write_root_pose_to_sim_index(root_pose=pose)
    cube.write_root_velocity_to_sim_index(root_velocity=torch.zeros(NUM_ENVS, 6))
    force[..., 1] = 1.0
    cube.instantaneous_wrench_composer.set_forces_and_torques_index(
        forces=force, torques=torch.zeros_like(force), is_global=True
    )
    env.step(hold)
    impulse = mass * cube.data.root_lin_vel_w.torch[:, 1]
    assert impulse.min() > 0.005
    assert (mass.max() - mass.min()) / mass.mean() > 0.02
    torch.testing.assert_close(impulse, impulse.mean().expand(NUM_ENVS), rtol=5e-3, atol=0)
    target = robot.data.default_joint_pos.torch.clone()
    robot.write_joint_position_to_sim_index(position=target)
    robot.write_joint_velocity_to_sim_index(velocity=torch.zeros_like(target))
    env.action_manager.get_term("chunk").terms[0].reset()
    down = hold.clone()
    down[:, 2] = -1.0
    for _ in range(2):
        env.step(down)
    moved = robot.data.joint_pos.torch[:, 3] - target[:, 3]
    assert moved.std() / moved.abs().mean() > 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_physics_differs_between_environments_and_follows_the_seed(make_env, engine):
    drawn = []
    for seed in (0, 0, 1):
        with make_env(1, NUM_ENVS, PRESET, physics=engine, seed=seed) as env, torch.inference_mode():
            env.reset(seed=seed)
            env.step(torch.zeros(NUM_ENVS, 7))
            drawn.append(engine_values(env, engine))
            check_bounds(drawn[-1])
            if seed == 1:
                check_behaviour(env)
                for _ in range(20):
                    env.step(2.0 * torch.rand(NUM_ENVS, 7) - 1.0)
                    assert not non_finite(env)
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name]), name
        assert not torch.equal(value, drawn[2][name]), name


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_differs_without_the_preset(make_env, engine):
    with make_env(1, NUM_ENVS, physics=engine) as env, torch.inference_mode():
        assert "startup" not in env.event_manager.active_terms
        assert env.action_manager.get_term("chunk")._delay is None
        env.reset(seed=0)
        env.step(torch.zeros(NUM_ENVS, 7))
        for name, value in engine_values(env, engine).items():
            assert torch.equal(value, value[:1].expand_as(value)), name
        assert torch.equal(*(env.observation_manager.compute()["policy"] for _ in range(2)))


def test_actions_are_late_and_objects_are_seen_badly(make_env):
    """Lags are drawn anew for the environments that are reset, inside of chunks too."""
    with make_env(2, 16, PRESET, "env.actions.chunk.max_latency=3", physics="ovphysx") as env, torch.inference_mode():
        env.reset(seed=0)
        chunk = env.action_manager.get_term("chunk")
        lag = chunk.latency.clone()
        assert set(lag.tolist()) == {0, 1, 2, 3}
        for tick in range(0, 12, 2):
            action = torch.zeros(16, 2, 7)
            action[:, 0, 0], action[:, 1, 0] = 0.01 * tick, 0.01 * (tick + 1)
            env.step(action.flatten(1))
            expected = 0.01 * (tick + 1 - lag).clamp(min=0)
            torch.testing.assert_close(chunk.terms[0].raw_actions[:, 0], expected)
        seen = torch.stack([env.observation_manager.compute()["policy"] for _ in range(50)])  # (50, E, O)
        noise = seen.std(dim=0).mean(dim=0)
        exact = torch.cat((noise[:9], noise[19:]))
        assert len(exact) == 9 + 3 * 7 + 1 and (exact == 0.0).all(), "what the robot knows of itself"
        torch.testing.assert_close(noise[9:19], torch.full((10,), 1e-3), rtol=0.2, atol=0)
        env.reset(env_ids=torch.arange(8))
        assert torch.equal(chunk.latency[8:], lag[8:]) and not torch.equal(chunk.latency[:8], lag[:8])


def unexplained(seen: torch.Tensor, wanted: torch.Tensor) -> float:
    """Root mean square of what no linear function of observations (N, O) explains of targets (N, A)."""
    inputs = torch.cat((seen, torch.ones_like(seen[:, :1])), dim=1).double()
    fitted = inputs @ torch.linalg.lstsq(inputs, wanted.double(), driver="gelsd").solution
    return (wanted - fitted).square().mean().sqrt().item()


def test_the_expert_allows_for_late_actions_which_policies_see(make_env):
    """One that does not overshoots: it solves five in six. What it subtracts is hidden without ``last_actions``."""
    from flow_rl_tasks.tabletop.lift.expert import LiftExpert

    with make_env(1, 32, PRESET, physics="ovphysx") as env, torch.inference_mode():
        expert = LiftExpert(env)
        assert first_episodes(env, expert).all()
        manager = env.observation_manager
        assert manager.active_terms["policy"][-2:] == ["last_actions", "latency"]
        assert manager.group_obs_term_dim["policy"][-2:] == [(7,), (1,)]
        obs, _ = env.reset(seed=1)
        expert.reset()
        seen, subtracted = [], []
        for _ in range(40):
            action = expert.act()
            seen.append(obs["policy"])
            subtracted.append(expert.under_way())
            obs, _, terminated, truncated, _ = env.step(action)
            expert.reset((terminated | truncated).nonzero().squeeze(-1))
        seen, subtracted = torch.cat(seen), torch.cat(subtracted)
        size = subtracted.square().mean().sqrt()
        hidden, shown = unexplained(seen[:, :19], subtracted), unexplained(seen, subtracted)
        print(f"subtracted {size:.3f}, unexplained {hidden:.3f} without and {shown:.1e} with the actions under way")
        assert size > 0.15 and hidden > 0.7 * size
        assert shown < 1e-5


def test_chunks_show_what_is_under_way(make_env):
    """Of the chunk before, in the order in which it will come, and nothing of the last episode."""
    with make_env(2, 16, "env.actions.chunk.max_latency=2", physics="ovphysx") as env, torch.inference_mode():
        env.reset(seed=0)
        latency = env.action_manager.get_term("chunk").latency
        action = 0.01 * torch.arange(14.0).expand(16, 14)
        obs, *_ = env.step(action)
        rows = obs["policy"][:, 19:33].unflatten(1, (2, 7))
        for age in range(2):
            late = (latency > age).unsqueeze(1)
            torch.testing.assert_close(rows[:, age], late * action.unflatten(1, (2, 7))[:, 1 - age])
        assert torch.equal(obs["policy"][:, 33], latency.float()) and set(latency.tolist()) == {0, 1, 2}
        contract = describe_task(env, ["policy"], [])["observations"][-2:]
        assert [(term["name"], term["shape"]) for term in contract] == [("last_actions", [14]), ("latency", [1])]
        obs, _ = env.reset(env_ids=torch.arange(8))
        assert not obs["policy"][:8, 19:33].any() and obs["policy"][8:, 19:33].any()


def test_checkpoints_that_do_not_see_latency_can_still_be_tried(make_env):
    with make_env(1, 2, PRESET, "env.observe_latency=false", physics="ovphysx") as env:
        assert env.observation_manager.group_obs_dim["policy"] == (19,)
        assert env.action_manager.get_term("chunk")._delay is not None


def test_parts_do_not_become_slippery_on_physx_and_threads_carry_them(make_env):
    """Writing their friction would let it combine with the table's by the mean, 1.2, instead of the maximum, 2."""
    with make_env(1, NUM_ENVS, PRESET, task="FlowRL-OneLeg-Low-Franka", physics="ovphysx") as env:
        startup = env.event_manager.active_terms["startup"]
        assert {"top_mass", "leg_mass", "robot_gains", "robot_friction"} == set(startup)
        weight = -env.sim.cfg.gravity[2] * env.scene["leg"].data.body_mass.torch[:, 0]
        assert weight.std() > 0.02
        torch.testing.assert_close(env.assembly._thread["weight"][:, 0], weight)
        with torch.inference_mode():
            hold, top = torch.zeros(NUM_ENVS, 10), env.scene["top"]
            env.reset(seed=0)
            env.step(hold)
            start, velocity = top.data.root_pos_w.torch[:, 0].clone(), torch.zeros(NUM_ENVS, 6)
            velocity[:, 0] = speed = 0.5
            top.write_root_velocity_to_sim_index(root_velocity=velocity)
            for _ in range(3):
                env.step(hold)
            friction = speed**2 / (2 * G * (top.data.root_pos_w.torch[:, 0] - start))
            assert friction.min() > 1.8


@pytest.mark.parametrize("task", ["Transport-DualFranka", "OneLeg-Low-Franka", "Kitchen-Complete-Franka"])
def test_each_startup_event_draws_what_it_names(make_env, task):
    """Of every asset something else in each environment, friction in the engine."""
    from isaaclab_ov import tensor_types as types

    with make_env(1, NUM_ENVS, PRESET, task=f"FlowRL-{task}", physics="ovphysx") as env:
        events = env.event_manager.active_terms["startup"]
        assert len(events) >= 4
        for event in events:
            name = env.event_manager.get_term_cfg(event).params["asset_cfg"].name
            view, data = env.scene[name].root_view, env.scene[name].data
            kind = "" if name in env.scene.articulations else "RIGID_BODY_"
            drawn = {
                "mass": lambda data=data: data.body_mass.torch,
                "gains": lambda data=data: torch.cat((data.joint_stiffness.torch, data.joint_damping.torch), dim=1),
                "joint_friction": lambda data=data: data.joint_friction_coeff.torch,
                "friction": lambda view=view, kind=kind: to_torch(
                    view.get_attribute(getattr(types, f"{kind}SHAPE_FRICTION_AND_RESTITUTION"))
                ),
            }[event.removeprefix(f"{name}_")]()
            assert drawn.reshape(NUM_ENVS, -1).std(dim=0).max() > 0.0, event


@pytest.mark.parametrize(
    "task", ["Can-Franka", "Kitchen-Mixed-Franka", "Lamp-Med-Franka-Vision", "Transport-DualFranka"]
)
def test_every_kind_of_task_knows_the_preset(task):
    from isaaclab.assets import ArticulationCfg, RigidObjectCfg
    from isaaclab_tasks.utils import resolve_task_config

    from flow_rl.cli import launch

    launch.find_task(f"FlowRL-{task}")  # so that all are registered
    words = [PRESET + ",varied_pictures" if task.endswith("Vision") else PRESET]
    cfg, _ = resolve_task_config(f"FlowRL-{task}", None, overrides=words)
    default, _ = resolve_task_config(f"FlowRL-{task}", None, overrides=[])
    cfg.validate()
    for name, asset in vars(cfg.scene).items():
        for kind, suffix in ((RigidObjectCfg, "mass"), (ArticulationCfg, "gains")):
            if isinstance(asset, kind):
                for event in (f"{name}_{suffix}", f"{name}_friction"):
                    assert getattr(cfg.events, event).mode == "startup"
                    assert getattr(default.events, event) is None
    assert (cfg.actions.chunk.max_latency, default.actions.chunk.max_latency) == (1, 0)
    default.validate()
    for group in (name for name in ("policy", "state") if hasattr(cfg.observations, name)):
        assert [*vars(getattr(cfg.observations, group))][-2:] == ["last_actions", "latency"]
        assert not hasattr(getattr(default.observations, group), "latency")
    noisy = {name for name, term in vars(cfg.observations.policy).items() if getattr(term, "noise", None)}
    if task.endswith("Vision"):
        assert not noisy and not cfg.observations.state.enable_corruption
        assert cfg.events.clutter is not None
    else:
        assert noisy and not noisy & {"eef_pos", "eef_pos_2", "robot_qpos", "goal"}
    assert not any(getattr(term, "noise", None) for term in vars(default.observations.policy).values())
    if task.startswith("Kitchen"):
        assert cfg.events.kitchen_joint_friction is not None and not hasattr(cfg.events, "robot_joint_friction")
