# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""``flow-rl pretrain``: what it says of the demonstrations."""

import numpy as np
import pytest
import torch

from flow_rl.cli import data, pretrain
from flow_rl.demos.writer import DemoWriter
from flow_rl.utils.checkpoint import load_checkpoint

TASK = "FlowRL-Lift-Franka"
SMALL = ["agent.num_steps=1", "agent.batch_size=4", "agent.actor.hidden_dims=[8]"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Pretrain one step in an empty folder, and return the checkpoint."""
    monkeypatch.chdir(tmp_path)

    def run(demos, *words: str) -> dict:
        options = ["--demos", str(demos), "--device", "cpu", "--output", "p.pt", "--overwrite"]
        pretrain.main(["--task", TASK, *options, *SMALL, *words])
        return load_checkpoint(tmp_path / "p.pt")

    return run


@pytest.fixture
def demos(tmp_path):
    """Twenty episodes of the lift task's dimensions."""
    path = tmp_path / "demos.hdf5"
    rng = np.random.default_rng(0)
    with DemoWriter(path, env_args={"task": TASK}) as writer:
        for i in range(20):
            obs, actions = rng.normal(size=(10, 19)), rng.uniform(-1, 1, size=(10, 7))
            actions[4, 6] = 1e6 if i == 12 else actions[4, 6]
            writer.write(obs={"policy": obs}, actions=actions, rewards=np.zeros(10), dones=np.zeros(10))
    return path


def test_an_outlier_is_warned_of_unless_percentiles_set_the_scale(call, demos, capsys):
    scale = call(demos)["actor_state_dict"]["action_normalizer.scale"]
    out = capsys.readouterr().out
    assert "warning: actions has 1 values" in out and "demo_12 step 4 [6] = 1e+06" in out
    assert scale[6] > 1e5
    scale = call(demos, "agent.normalization=quantile")["actor_state_dict"]["action_normalizer.scale"]
    assert "warning" not in capsys.readouterr().out and scale.max() < 1.0


def test_a_minari_set_is_learnt_from_directly(call, demos, tmp_path, monkeypatch, capsys):
    """By its folder and by its name; the range of its actions is that of the file it was made of."""
    pytest.importorskip("minari", reason="minari is not installed")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data.main(["convert", str(demos), str(tmp_path / "mine" / "lift-v0"), "--to", "minari"])
    scale = call(demos)["actor_state_dict"]["action_normalizer.scale"]
    for source in (tmp_path / "mine" / "lift-v0", "mine/lift-v0"):
        capsys.readouterr()
        assert torch.equal(call(source)["actor_state_dict"]["action_normalizer.scale"], scale)
        assert f"{source}: 20 episodes" in capsys.readouterr().out
