# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings compose: later records win, unknown names are refused, other packages' learners get them too."""

from __future__ import annotations

import importlib.metadata

import pytest

from flow_rl import configs
from flow_rl.configs.compose import build, entry_points, resolve

EVERYONE = sorted(entry_points())


def test_without_settings_a_learner_has_its_own_configuration():
    for name in EVERYONE:
        module, _, cls = entry_points()[name].partition(":")
        assert build(name).to_dict() == getattr(__import__(module, fromlist=[cls]), cls)().to_dict()


def test_the_last_record_wins_and_a_name_beats_all():
    first = {"rldt": {"actor.horizon": 3}, "all": {"actor.horizon": 2, "actor.num_flow_steps": 5}}
    assert (build("rldt", first).actor.horizon, build("pretrain", first).actor.horizon) == (3, 2)
    again = build("rldt", first, {"learners": {"actor.horizon": 8}})
    assert (again.actor.horizon, again.actor.num_flow_steps) == (8, 5)
    assert build("pretrain", first, {"learners": {"actor.horizon": 8}}).actor.horizon == 2


def test_configurations_share_nothing():
    record = {"learners": {"obs_groups": {"actor": ["a"], "critic": ["b"]}}, "rldt": {"obs_groups.critic": ["c"]}}
    first, second = build("rldt", record), build("reinflow", record)
    first.obs_groups["actor"].append("d")
    assert first.obs_groups == {"actor": ["a", "d"], "critic": ["c"]}
    assert second.obs_groups == {"actor": ["a"], "critic": ["b"]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"all": {"actor.horzion": 2}}, "'actor.horzion', but there is no 'horzion'. Valid: activation,"),
        ({"rldt": {"algorithm.kernel.size": 2}}, "'algorithm.kernel.size', but there is no 'size'"),
        ({"learners": {"obs_groups.actors": []}}, "there is no 'actors'. Valid: actor, critic"),
        ({"rldd": {}}, "concern 'rldd', whom nobody knows. Valid: all, .*learners, .*pretrain,"),
    ],
)
def test_unknown_names_are_refused(record, message):
    with pytest.raises(ValueError, match=message):
        build("rldt", record)


def test_presets_are_offered_and_chosen():
    presets = {"wide": {"all": {"actor.hidden_dims": [9]}}, "deep": {"all": {"actor.hidden_dims": [8, 8]}}}

    def chosen(*names):
        return resolve(build("rldt", {"all": {"actor.hidden_dims": [7]}}, presets=presets), names).actor.hidden_dims

    assert (chosen(), chosen("wide"), chosen("deep")) == ([7], [9], [8, 8])
    with pytest.raises(ValueError, match="presets=vast is no choice. Valid: deep, wide"):
        chosen("vast")


@pytest.fixture
def installed(monkeypatch):
    """Pretend that a package with these learners is installed."""

    def install(**learners):
        found = [importlib.metadata.EntryPoint(name, value, configs.GROUP) for name, value in learners.items()]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found if group == configs.GROUP else [])
        configs.learners.cache_clear()

    yield install
    configs.learners.cache_clear()


def test_a_learner_of_another_package_gets_the_settings_of_tasks(installed):
    installed(mine="flow_rl.configs.rldt:RldtRunnerCfg")
    assert set(EVERYONE) < set(entry_points())
    assert build("mine", {"learners": {"actor.horizon": 8}}).actor.horizon == 8


def test_two_learners_of_one_name_are_refused(installed):
    installed(rldt="theirs:Cfg")
    with pytest.raises(ValueError, match="two learners are named 'rldt': flow_rl.configs.rldt:.* and theirs:Cfg"):
        configs.learners()
