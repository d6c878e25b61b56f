# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Every learner solves two problems from the same clones, in three seeds, with one setting for all of a kind."""

from __future__ import annotations

import itertools

import pytest

from flow_rl.configs import learners
from flow_rl.testing import small_config
from tests.algorithms.solving import PROBLEMS, clone, solve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The clone that a learner begins with, `base(learner, problem)`; learners of one kind share it."""
    folder = tmp_path_factory.mktemp("clones")

    def find(learner: str, problem: str):
        actor = small_config(learner)["actor"]
        path = folder / f"{problem}_{actor['sampler']['kind']}_{actor['prediction']}.pt"
        if not path.exists():
            clone(PROBLEMS[problem], actor, path)
        return path

    return find


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("learner", sorted(learners()))
def test_a_learner_solves(learner, problem, seed, base):
    target = PROBLEMS[problem].solved
    found = solve(learner, PROBLEMS[problem], seed, None if learner == "ppo" else base(learner, problem))
    best = max(min(pair) for pair in itertools.pairwise(found))
    assert found[0] < 0.7 * target and best >= 0.9 * target  # other machines round otherwise
