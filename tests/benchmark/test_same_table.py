# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A suite of real commands, seconds each, gives the same table whoever runs its jobs."""

import os
import time
from pathlib import Path

import pytest

from flow_rl.benchmark.records import read_records
from flow_rl.benchmark.tables import results_table
from flow_rl.cli import benchmark
from tests.slurm import PLACES, cluster

pytestmark = pytest.mark.slow

SUITE = """
seeds: [0]
env_steps: 80
evaluation: {every: 40, episodes: 4}
tasks:
  gym:tests.envs.lines:FlowRLTestLine-v0:
    num_envs: 4
    demonstrations: {num_demos: 8, num_envs: 4, quality: 0.8, overrides: ["--expert=tests.envs.lines:act"]}
    pretraining: [agent.actor.horizon=2, "agent.actor.hidden_dims=[32]", agent.num_steps=4]
learners:
  score_flow:
    overrides: &short
      - agent.actor.horizon=2
      - agent.actor.hidden_dims=[32]
      - agent.critic.hidden_dims=[16]
      - agent.num_steps_per_env=5
  reinflow: {overrides: *short}
"""


def run(folder, *words):
    """Table and curves of the suite, made in a folder by a command as a user types it."""
    suite = folder / "line.yaml"
    suite.write_text(SUITE)
    where = ["--records", str(folder / "records"), "--output", str(folder / "made"), "--device", "cpu"]
    benchmark.main([str(suite), *where, *words])
    end = time.monotonic() + 800
    while len(records := read_records(folder / "records")) < 2:
        assert time.monotonic() < end, [path.read_text() for path in folder.rglob("*.log")]
        time.sleep(1.0)
    measured = ("iteration", "env_steps", "success", "mean_return", "return_std", "mean_episode_length")
    curves = [[{name: point[name] for name in measured} for point in record["curve"]] for record in records]
    return results_table(records), curves


@pytest.fixture(scope="module")
def of_this_machine(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        yield run(tmp_path_factory.mktemp("local"), "--jobs", "2")


def test_slurm_gives_the_same_table(of_this_machine, tmp_path, monkeypatch):
    with cluster(tmp_path / "slurm") as variables:
        for name, value in (variables | {"PATH": PLACES}).items():
            monkeypatch.setenv(name, value)
        assert run(tmp_path, "--launcher", "slurm", "--slurm", "partition=debug") == of_this_machine


def test_ray_gives_the_same_table(of_this_machine, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs ray: pip install ray, or flow-rl[cluster]")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert run(tmp_path, "--launcher", "ray", "--ray", "num_cpus=1") == of_this_machine
