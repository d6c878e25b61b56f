# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Gymnasium's environments as learners and evaluations take them: chunks, ends, seeds, groups, processes, commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.cli import collect, compare, data, evaluate, launch, pretrain, record, train_foreign
from flow_rl.demos.reader import load_demos
from flow_rl.envs.gym_env import GymEnv, GymEnvCfg
from flow_rl.envs.names import agent_settings, find_spec
from flow_rl.envs.vec_env import ChunkVecEnv
from flow_rl.evaluation.episodes import evaluate as measure
from flow_rl.evaluation.episodes import record_film
from flow_rl.evaluation.policies import FunctionPolicy
from flow_rl.utils.check import InputError

ROOT = Path(__file__).parents[2]
LINES = "gym:tests.envs.lines:FlowRLTest"


def make(name="Line", horizon=1, num_envs=3, **changes):
    cfg = GymEnvCfg(task=f"{LINES}{name}-v0", num_envs=num_envs, **changes)
    cfg.set_horizon(horizon)
    return GymEnv(cfg)


def still(env, value=0.0):
    return torch.full((env.num_envs, env.action_manager.total_action_dim), value)


def test_a_chunk_is_executed_and_its_rewards_summed():
    """Bounds [0, 4] lie at -1 and 1, so 0 is an action of 2, which holds the point where it is."""
    env = make(horizon=4)
    obs, _ = env.reset(seed=3)
    after, rewards, terminated, truncated, extras = env.step(still(env))
    assert obs["policy"].dtype == torch.float32 and obs["policy"].shape == (3, 2)
    torch.testing.assert_close(after["policy"][:, 0], obs["policy"][:, 0])
    assert after["policy"][:, 1].tolist() == [4.0] * 3 and rewards.tolist() == [1.0 + 2 + 3 + 4] * 3
    assert not terminated.any() and not truncated.any()
    after = env.step(torch.tensor([[1.0, -1.0, 9.0, -9.0]] * 3))[0]  # what is out of bounds is clipped
    torch.testing.assert_close(after["policy"][:, 0], obs["policy"][:, 0])


def test_an_episode_ends_inside_a_chunk_by_its_time_limit():
    """Ten steps: two chunks of four and half of a third; what follows is a new episode, what was is reported."""
    env = make(horizon=4)
    assert env.max_episode_length == 3
    env.reset(seed=0)
    first = env.observe()["policy"][:, 0].clone()
    for _ in range(2):
        env.step(still(env))
    obs, rewards, terminated, truncated, extras = env.step(still(env))
    assert truncated.all() and not terminated.any() and extras["time_outs"].all()
    assert rewards.tolist() == [9.0 + 10] * 3  # two steps of the third chunk
    torch.testing.assert_close(extras["final_obs"]["policy"], torch.stack([first, torch.full((3,), 10.0)], dim=1))
    assert obs["policy"][:, 1].tolist() == [0.0] * 3 and (obs["policy"][:, 0] != first).all()
    assert not env.termination_manager.get_term("success").any() and env.episode_length_buf.tolist() == [0] * 3


def test_success_ends_an_episode_and_is_told_from_a_time_limit():
    env = make(horizon=2, kwargs={"reports": "is_success"})
    env.reset(seed=0)
    ended = torch.zeros(3, dtype=torch.bool)
    for _ in range(5):
        *_, terminated, truncated, extras = env.step(still(env, 1.0))
        assert (extras["final_obs"]["policy"][terminated, 0] >= 1.0 - 1e-6).all()
        assert torch.equal(env.termination_manager.get_term("success")[terminated], terminated[terminated])
        assert torch.equal(env.reset_terminated, terminated) and not (terminated & truncated).any()
        ended |= terminated
    assert ended.all() and "Metrics/success_rate" in extras["log"]


def test_seeds_repeat_and_differ_by_environment():
    """Without a seed, torch's random numbers decide: training goes on as if an evaluation had not been."""
    env = make()
    first = env.reset(seed=5)[0]["policy"].clone()
    assert len(first[:, 0].unique()) == 3
    torch.manual_seed(1)
    drawn = env.reset()[0]["policy"].clone()
    assert torch.equal(env.reset(seed=5)[0]["policy"], first) and not torch.equal(drawn, first)
    torch.manual_seed(1)
    assert torch.equal(env.reset()[0]["policy"], drawn)


def test_processes_do_what_this_one_does():
    """Bit for bit, pictures and last observations included, with shares of different sizes."""
    alone, shared = (make("Seen", 3, num_envs=5, num_workers=workers) for workers in (0, 2))
    try:
        for env in (alone, shared):
            env.reset(seed=2)
        generator = torch.Generator().manual_seed(0)
        for _ in range(6):
            actions = 2 * torch.rand(5, 3, generator=generator) - 1
            one, other = (env.step(actions) for env in (alone, shared))
            for part in (0, -1):
                names = ["camera", "phase", "state"]
                pair = [step[part] if part == 0 else step[part]["final_obs"] for step in (one, other)]
                assert all(torch.equal(pair[0][name], pair[1][name]) for name in names)
            assert all(torch.equal(a, b) for a, b in zip(one[1:4], other[1:4], strict=True))
    finally:
        shared.close()


def test_an_error_in_a_process_arrives_here():
    env = make("Broken", num_workers=1)
    try:
        env.reset(seed=0)
        with pytest.raises(FloatingPointError, match="exploded"):
            for _ in range(3):
                env.step(still(env))
    finally:
        env.close()


def test_a_process_that_dies_is_named():
    env = make(num_workers=3)
    try:
        env.reset(seed=0)
        env._batch._processes[1].kill()
        with pytest.raises(RuntimeError, match=r"Worker 1 of 3 has died.*--num_workers 0"):
            env.step(still(env))
    finally:
        env.close()


def test_dictionaries_become_groups_and_pictures_come_first_channel():
    env = make("Seen", 2)
    obs, _ = env.reset(seed=0)
    shapes = {name: tuple(value.shape[1:]) for name, value in obs.items()}
    assert shapes == {"camera": (3, 16, 24), "phase": (3,), "state": (2,)}
    assert env.observation_manager.group_obs_dim == shapes and obs["camera"].dtype == torch.uint8
    after = env.step(still(env))[0]
    assert (after["camera"][:, 1, 3, 5] == 2).all() and after["phase"].tolist() == [[0.0, 0.0, 1.0]] * 3
    (seen, more) = agent_settings(f"{LINES}Seen-v0")
    assert seen["learners"]["obs_groups"]["actor"] == ["camera", "phase", "state"]
    assert more["rldt"]["algorithm.value_range"] is None


def test_goal_spaces_are_one_vector():
    env = make("Goal")
    assert {name: value.shape for name, value in env.reset(seed=0)[0].items()} == {"policy": (3, 3)}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("Buttons", {}, r"action space = .*Discrete.* is not valid.*Box with bounds"),
        ("Endless", {}, r"env.max_episode_steps = None is not valid.*env.max_episode_steps=1000"),
        ("Line", {"num_workers": 4}, r"--num_workers = 4 is not valid. Valid: 0 .* to --num_envs 3"),
        ("Line", {"kwargs": {"speed": 3}}, r"cannot be made with env.kwargs=\{'speed': 3\}.*speed"),
        ("Lime", {}, r"is not registered.*Did you mean FlowRLTestLine-v0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, changes, message):
    with pytest.raises(InputError, match=message):
        make(name, **changes)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"module 'no.such' cannot be imported"):
        find_spec("gym:no.such:Thing-v0")


def test_returns_are_measured_where_nobody_knows_success():
    """Ten steps of rewards 1 to 10, or fewer where the point arrives."""
    env = make(horizon=4, num_envs=4, kwargs={"reports": ""})
    result = measure(env, FunctionPolicy(lambda obs: still(env)), 8, seed=0, horizon=4, progress=False)
    assert result["success"] is None and result["ci95"] is None and result["outcomes"] is None
    assert result["mean_return"] == 55.0 and result["return_std"] == 0.0 and result["return_ci95"] == [55.0, 55.0]
    known = make(horizon=4, num_envs=4)
    result = measure(known, FunctionPolicy(lambda obs: still(known, 1.0)), 8, seed=0, horizon=4, progress=False)
    assert result["success"] == 1.0 and result["outcomes"] == "1" * 8


@pytest.mark.parametrize("learner", ["score_flow", "rldt"])
@pytest.mark.parametrize("name", ["Line", "Seen"])
def test_learners_run_unchanged(learner, name, tmp_path):
    """From scratch, with an evaluation that is noted; a dense reward and no success."""
    task = f"{LINES}{name}-v0"
    words = ["max_iterations=2", "num_steps_per_env=6", "eval_interval=1", "eval_episodes=3"]
    words += ["algorithm.from_scratch=true", "actor.horizon=2", "actor.hidden_dims=[16]", "critic.hidden_dims=[16]"]
    if learner == "rldt":
        words += ["algorithm.critic_warmup=0", "algorithm.num_critic_updates=4"]
        words += ["algorithm.target_repeat=2", "algorithm.num_actor_updates=2"]
    cfg = launch.agent_config(task, learner, None, [f"agent.{word}" for word in words])
    env = make(name, cfg.actor.horizon, kwargs={"reports": "", "dense": True}, log_dir=str(tmp_path))
    runner = OnPolicyRunner(ChunkVecEnv(env), launch.runner_dict(cfg), log_dir=str(tmp_path), device="cpu")
    before = {key: value.clone() for key, value in runner.alg.actor.state_dict().items()}
    runner.learn(2)
    noted = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert [entry["env_steps"] for entry in noted] == [0, 36, 72] and noted[0]["success"] is None
    assert all(np.isfinite(entry["mean_return"]) for entry in noted) and (tmp_path / "model_best.pt").is_file()
    after = runner.alg.actor.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_a_film_shows_the_environments_own_pictures(tmp_path):
    env = make(num_envs=2, film=(60, 40))
    film = tmp_path / "film.mp4"
    group = "film"
    assert env.reset(seed=0)[0][group].shape == (2, 40, 60, 3)
    policy = FunctionPolicy(lambda obs: still(env, 1.0))
    assert record_film(env, policy, film, group=group, seed=0, horizon=1, title="line") == 2
    assert film.stat().st_size > 1000


@pytest.mark.slow
def test_commands_lead_from_a_function_to_a_policy_that_learnt(tmp_path, monkeypatch, capsys):
    """Collect, pretrain, fine-tune, evaluate, film: each as a user types it."""
    monkeypatch.chdir(tmp_path)
    env = ["--env", f"{LINES}Line-v0", "--device", "cpu"]
    small = ["agent.actor.horizon=2", "agent.actor.hidden_dims=[32]"]
    expert = ["--expert", "tests.envs.lines:act", "--quality", "0.8", "--num_demos", "12", "--num_envs", "4"]
    collect.main([*env, *expert, "--output", "demos.hdf5"])
    demos = load_demos("demos.hdf5")
    assert demos.num_demos == 12 and demos.env_args["task"] == f"{LINES}Line-v0"
    data.main(["replay", "demos.hdf5", "--device", "cpu", "--first", "4"])
    out = capsys.readouterr().out
    assert "not where they were recorded" in out and "of 4 episodes succeed" in out
    pretrain.main([*env, "--demos", "demos.hdf5", *small, "agent.num_steps=60", "--output", "clone.pt"])
    learner = ["--agent", "score_flow", "--checkpoint", "clone.pt", "--num_envs", "6", "--max_iterations", "2"]
    train_foreign.main([*env, *learner, *small, "agent.num_steps_per_env=5", "agent.critic.hidden_dims=[16]"])
    (run,) = Path("logs/rsl_rl/score_flow").iterdir()
    assert (run / "model_1.pt").is_file() and (run / "params" / "env.yaml").is_file()
    resumed = ["--agent", "score_flow_cfg_entry_point", "--checkpoint", "latest", "--max_iterations", "1"]
    train_foreign.main(
        [*env, *resumed, "--num_envs", "6", *small, "agent.num_steps_per_env=5", "agent.critic.hidden_dims=[16]"]
    )
    capsys.readouterr()
    policy = ["--checkpoint", str(run / "model_1.pt"), "--num_episodes", "8", "--num_envs", "8"]
    evaluate.main(
        [*env, *policy, "--num_workers", "2", "--video", "film.mp4", "--video_envs", "2", "--output", "out.json"]
    )
    result = json.loads(Path("out.json").read_text())
    record.main([*env, "--checkpoint", str(run / "model_1.pt"), "--formats", "mp4", "--output", "shown"])
    assert Path("shown/episode.mp4").stat().st_size > 1000
    both = ["--checkpoints", "clone.pt", str(run / "model_1.pt"), "--num_envs", "2", "--video", "both.mp4"]
    compare.main([*env, *both])
    assert "neither" in capsys.readouterr().out and Path("both.mp4").stat().st_size > 1000
    assert result["episodes"] == 8 and result["success"] is not None and Path("film.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--expert", "nowhere:act"], "--expert 'nowhere:act' cannot be imported"),
        ([], "--expert = None is not valid. Valid: module:function"),
        (
            ["--expert", "tests.envs.lines:act", "env.kwarg=1"],
            "names no field: there is no 'kwarg'. Did you mean env.kwargs",
        ),
        (["--expert", "tests.envs.lines:act", "physics=ovphysx"], "override = 'physics=ovphysx' is not valid"),
    ],
)
def test_mistakes_of_a_command_are_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refusal:
        collect.main(["--env", f"{LINES}Line-v0", "--device", "cpu", "--num_demos", "1", *words])
    lines = capsys.readouterr().err.strip().splitlines()
    assert refusal.value.code == 2 and message in lines[-1]


def test_isaac_lab_is_not_imported():
    code = (
        "import sys; from flow_rl.cli import evaluate; evaluate.main(sys.argv[1:]); "
        "print('FOUND', {name.split('.')[0] for name in sys.modules} & {'isaaclab', 'isaaclab_rl', 'warp', 'pxr'})"
    )
    words = [
        "--env",
        f"{LINES}Line-v0",
        "--policy",
        "zero",
        "--num_episodes",
        "2",
        "--num_envs",
        "2",
        "--device",
        "cpu",
    ]
    run = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=240, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert "FOUND set()" in run.stdout
