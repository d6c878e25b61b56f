# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An override is followed, or refused in one line; it is never ignored."""

import dataclasses
import re

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec

from isaaclab_tasks.utils import resolve_task_config

from flow_rl.cli import collect, launch, options, pretrain, stock
from flow_rl.cli.overrides import check_override, check_overrides
from flow_rl.utils.check import InputError

TASK = "FlowRL-Lift-Franka"
TRAIN = ["train", "--task", TASK, "--num_envs", "4"]


def settings(*words: str):
    args, overrides = options.Parser("test").parse(["--task", TASK, "--device", "cpu", *words])
    return launch.env_config(args, overrides, horizon=None), args


def test_overrides_act_like_the_options_of_the_same_meaning():
    words = ["env.scene.num_envs=8", "env.seed=7", "env.actions.chunk.horizon=2"]
    cfg, args = settings(*words)
    assert (cfg.scene.num_envs, cfg.seed, cfg.actions.chunk.horizon) == (8, 7, 2)
    assert (args.num_envs, args.seed) == (8, 7), "what is written into results"
    cfg, _ = settings("--num_envs", "3", "--seed", "1", "env.seed=1")
    assert (cfg.scene.num_envs, cfg.seed) == (3, 1)
    cfg, _ = settings()
    assert (cfg.scene.num_envs, cfg.seed) == (64, 0)


def test_chunk_length_of_a_checkpoint_is_not_overridden():
    args, overrides = options.Parser("test").parse(["--task", TASK, "--device", "cpu", "env.actions.chunk.horizon=2"])
    with pytest.raises(InputError, match=r"env\.actions\.chunk\.horizon = 2 .*Valid: 4"):
        launch.env_config(args, overrides, horizon=4)


def test_pretraining_takes_its_seed_from_either():
    words = ["--task", TASK, "--device", "cpu"]
    for more, seed in (["agent.seed=7"], 7), (["--seed", "1"], 1), (["--seed", "1", "agent.seed=1"], 1):
        assert options.Parser("test", num_envs=None).parse([*words, *more])[0].seed == seed


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (["--seed", "0"], "agent.seed=5"),
        (["--device", "cpu"], "agent.device=cuda:0"),
        (["--logger", "tensorboard"], "agent.logger=wandb"),
        (["--obs_keys", "policy", "front"], "agent.obs_keys=[wrist]"),
        (["--seed", "0"], "env.seed=5"),
        (["--device", "cpu"], "env.sim.device=cuda:0"),
        (["--num_envs", "4"], "env.scene.num_envs=8"),
    ],
)
def test_an_option_and_an_override_that_differ_are_refused(option, word, capsys):
    """Neither is dropped, defaults of the command line included."""
    command = pretrain if word.startswith("agent.") else collect
    more = ["--demos", "none.hdf5"] if command is pretrain else []
    with pytest.raises(SystemExit) as end:
        command.main(["--task", TASK, *more, word, *option])
    assert end.value.code == 2
    assert re.search(rf"{option[0]} .* and {word[:9]}.* say different things. Valid: one", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["train", "play"])
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("env.sim.dtt=3", r"no 'dtt'.*Did you mean env\.sim\.dt\b"),
        ("env.simm.dt=3", r"no 'simm'.*Did you mean env\.sim\b"),
        ("env.decimation=four", "type int, such as 4"),
        ("env.episode_length_s=long", "type float, such as"),
        ("env.scene.num_envs.x=3", "env.scene.num_envs is .* and has none"),
        ("agent.algorithm.gamm=1", r"no 'gamm'.*Did you mean agent\.algorithm\.gamma\b"),
        ("agent.algoritm.gamma=1", r"no 'algoritm'.*Did you mean agent\.algorithm\b"),
        ("agent.algorithm.gamma=high", "type float, such as 0.99"),
        ("agent.algorithm.from_scratch=1", "type bool, such as False"),
        ("agent.actor.hidden_dims=32", r"type list\[int\], such as \[512"),
        ("physics=bullet", "bullet"),
    ],
)
def test_stock_commands_refuse(command, word, message, capsys):
    with pytest.raises(SystemExit) as stopped, stock.one_line_refusals([]):
        stock.check_command([command, *TRAIN[1:], word])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]  # Warp may have said something before
    assert error.startswith("[flow_rl] error: ") and re.search(message, error), error


def test_tasks_of_other_packages_are_checked_where_they_offer_our_learners(monkeypatch):
    """Whatever their names; all others are Isaac Lab's business."""
    launch.find_task(TASK)  # registers ours
    monkeypatch.setitem(gym.registry, "Mine-v0", gym.spec(TASK))
    monkeypatch.setitem(gym.registry, "Theirs-v0", EnvSpec("Theirs-v0", entry_point="nowhere:Env"))
    with pytest.raises(InputError, match="no_such_field"):
        stock.check_command(["train", "--task", "Mine-v0", "env.no_such_field=1"])
    stock.check_command(["train", "--task", "Theirs-v0", "env.no_such_field=1"])


def test_what_is_right_passes():
    words = [
        "physics=ovphysx",
        "env.episode_length_s=8",
        "agent.algorithm.max_grad_norm=null",
        "agent.algorithm.gamma=1",
    ]
    stock.check_command([*TRAIN, *words, "agent.actor.hidden_dims=[32,32]", "env.viewer.eye=[1,2,3]"])
    check_overrides(["env.sim.physics=newton_mjwarp", "env.sim.physics.num_substeps=2"], TASK, None)


def test_what_is_none_by_default_can_be_given():
    """In files of suites, too, which are read without the stock commands."""
    words = ["agent.algorithm.demonstrations=data/lift.hdf5", "agent.algorithm.max_grad_norm=1"]
    algorithm = launch.agent_config(TASK, "residual", None, words).algorithm
    assert algorithm.demonstrations == "data/lift.hdf5" and algorithm.max_grad_norm == 1.0


@pytest.mark.parametrize("agent", ["score_flow", "rldt", "pretrain"])
def test_every_value_in_use_is_of_its_type(agent):
    """The check believes the configurations rather than their annotations."""
    name = f"{agent}_cfg_entry_point" if agent != "pretrain" else None
    env_cfg, agent_cfg = resolve_task_config("FlowRL-RoundTable-Med-Franka-Vision", name, overrides=[])
    sections = {
        "env": env_cfg,
        "agent": agent_cfg or launch.agent_config(TASK, agent, "flow_rl.configs.pretrain:PretrainCfg", []),
    }
    count = 0

    def visit(node, path):
        nonlocal count
        for field, value in vars(node).items():
            if field.startswith("_"):
                continue
            if dataclasses.is_dataclass(value):
                visit(value, f"{path}.{field}")
            elif isinstance(value, bool | int | float | None):
                check_override(f"{path}.{field}={value}", sections)
                count += 1

    for section, cfg in sections.items():
        visit(cfg, section)
    assert count > 300


@pytest.mark.parametrize("word", ["-m", "--multirun"])
def test_sweeps_that_would_do_nothing_are_refused(word):
    with pytest.raises(InputError, match="a suite with an entry for each setting"):
        stock.check_command([*TRAIN, word, "agent.seed=1,2"])
