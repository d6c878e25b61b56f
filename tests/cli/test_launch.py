# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies that command lines name, without a simulator."""

from __future__ import annotations

import argparse

import pytest

from flow_rl.cli import launch
from flow_rl.utils.checkpoint import save_checkpoint


@pytest.fixture
def upon_a_base(tmp_path):
    """A checkpoint that says it was learnt upon a policy server."""
    base = {"source": "ws://127.0.0.1:1", "execute_code": True, "deadline": 10.0, "digest": None}
    policy = {"horizon": 4, "base": base, "obs_groups": {}}
    description = {"format": 1, "stage": "finetune", "learner": "residual", "policy": policy}
    save_checkpoint(tmp_path / "model.pt", {"flow_rl": description, "actor_state_dict": {}})
    return tmp_path / "model.pt"


def options(**given) -> argparse.Namespace:
    names = ("checkpoint", "package", "policy", "base")
    plain = dict.fromkeys(names) | {"device": "cpu", "sampling": "random", "execute_code": False}
    return argparse.Namespace(**plain | given)


def test_what_a_base_may_do_and_where_it_is_are_said_anew(upon_a_base):
    """Permission comes from the command line alone."""
    checkpoint, horizon = launch.load_policy(options(checkpoint=upon_a_base))
    base = checkpoint["flow_rl"]["policy"]["base"]
    assert horizon == 4 and base["source"] == "ws://127.0.0.1:1" and base["execute_code"] is False
    words = ["agent.actor.base.source=ws://127.0.0.1:2", "agent.actor.base.deadline=2.5"]
    checkpoint, _ = launch.load_policy(options(checkpoint=upon_a_base, execute_code=True, agent_overrides=words))
    base = checkpoint["flow_rl"]["policy"]["base"]
    assert (base["source"], base["deadline"], base["execute_code"]) == ("ws://127.0.0.1:2", 2.5, True)


def test_policies_of_others_are_opened_with_the_environment():
    assert launch.load_policy(options(base="ws://127.0.0.1:1")) == (None, None)
