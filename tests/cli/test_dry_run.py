# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a training would run with, and who said so."""

import pytest

from flow_rl.cli import dry_run, train_foreign


@pytest.fixture
def table(capsys):
    """Who set a setting, and its value, of what was printed: `table()["agent.seed"]`."""

    def read() -> dict[str, tuple[str, str]]:
        _, rows = capsys.readouterr().out.split("setting ", maxsplit=1)
        names = ("default", "task", "presets", "command line")
        found = {}
        for path, said in (line.split(maxsplit=1) for line in rows.splitlines()[1:]):
            (origin,) = (name for name in names if said.startswith(f"{name} "))
            found[path] = (origin, said.removeprefix(origin).strip())
        return found

    return read


def test_a_task_of_ours(table):
    """Learner, task, preset and command line each say something."""
    words = ["train", "--task", "FlowRL-OneLeg-Low-Franka", "--agent", "rldt_cfg_entry_point", "--num_envs", "32"]
    dry_run.stock([*words, "presets=paper", "agent.algorithm.gamma=0.9", "--dry_run"])
    found = table()
    assert found["agent.algorithm.num_particles"] == ("default", "8")
    assert found["agent.algorithm.window"] == ("task", "12")
    assert found["agent.algorithm.reference_coef"] == ("presets", "0.2")
    assert found["agent.algorithm.gamma"] == ("command line", "0.9")
    assert found["env.scene.num_envs"] == ("command line", "32")
    assert found["env.actions.chunk.horizon"] == ("task", "8")


def test_an_environment_of_others(table, tmp_path, monkeypatch):
    """Nothing is made: no environment, no folder."""
    monkeypatch.chdir(tmp_path)
    words = ["--env", "gym:Hopper-v5", "--agent", "rldt", "--num_envs", "3", "--dry_run", "agent.algorithm.gamma=0.9"]
    train_foreign.main(words)
    found = table()
    assert found["agent.algorithm.value_range"] == ("task", "None")
    assert found["agent.algorithm.gamma"] == ("command line", "0.9")
    assert found["env.num_envs"] == ("command line", "3")
    assert list(tmp_path.iterdir()) == []
