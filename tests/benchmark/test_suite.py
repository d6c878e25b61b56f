# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Suites are read strictly, and one line adds a learner."""

import pytest

from flow_rl.benchmark.suite import FOLDER, read_suite
from flow_rl.cli import launch

OURS = sorted(path.stem for path in FOLDER.glob("*.yaml"))

SMALL = """
env_steps: 1000
tasks:
  FlowRL-Lift-Franka: {}
learners:
  score_flow: {}
"""


def written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", OURS)
def test_our_suites_name_tasks_and_learners_that_exist(name):
    suite = read_suite(name)
    assert suite.name == name and suite.description
    for task in suite.tasks:
        launch.find_task(task)


def test_the_suites_that_are_promised_exist():
    assert OURS == ["furniture", "gym", "kitchen", "lift", "rivals", "rldt", "smoke", "svgd", "tabletop", "vision"]


def test_one_line_adds_a_learner(tmp_path):
    suite = read_suite(written(tmp_path, SMALL + "  rldt: {}\n"))
    assert suite.name == "mine" and suite.seeds == [0, 1, 2]
    assert [entry.learner for entry in suite.learners.values()] == ["score_flow", "rldt"]
    assert suite.learners["rldt"].preset == "ours"


def test_variants_say_whose_settings_they_have(tmp_path):
    more = "  as_published: {learner: rldt, overrides: ['presets=wide,paper']}\n  other: {learner: rldt, note: tuned}\n"
    suite = read_suite(written(tmp_path, SMALL + more))
    assert [suite.learners[name].preset for name in ("as_published", "other")] == ["paper", "tuned"]


@pytest.mark.parametrize(
    "text, message",
    [
        (SMALL + "  rlt: {}\n", r"learners.rlt.learner = 'rlt' .*did you mean rldt\?"),
        (SMALL.replace("env_steps: 1000", ""), r"env_steps, seconds = \[None, None\] .*one of them"),
        (SMALL + "seconds: 60\n", r"env_steps, seconds = \[1000, 60.0\]"),
        (SMALL.replace("{}", "{env_steps: 0}", 1), r"tasks\..*\.env_steps = 0 .*> 0"),
        (SMALL + "seeds: []\n", "seeds = .* at least one"),
        (SMALL + "seed: [1]\n", "no field 'seed'. Valid: seeds, "),
        (SMALL.replace("Franka: {}", "Franka: {num_env: 3}"), "no field 'tasks.FlowRL-Lift-Franka.num_env'.*num_envs"),
        (SMALL.replace("env_steps: 1000", "env_steps: many"), "many"),
        (
            SMALL.replace("Franka: {}", "Franka: {learners: {rldt: []}}"),
            r"tasks.FlowRL-Lift-Franka.learners = \['rldt'\]",
        ),
        (SMALL + "evaluation: {every: 0}\n", "evaluation.every = 0"),
        ("tasks: [", "mine.yaml"),
    ],
)
def test_mistakes_are_refused_in_one_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        read_suite(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_suite_that_does_not_exist():
    with pytest.raises(ValueError, match="one of furniture, gym, kitchen, lift"):
        read_suite("lfit")
    with pytest.raises(ValueError, match="SUITE = 'none.yaml'"):
        read_suite("none.yaml")
