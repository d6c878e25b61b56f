# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Three iterations of Lift lead where they led before: whoever changes that knows it, and says why.

After a change that is meant, write the new numbers: ``python -m tests.tasks.test_results_stay [LEARNER ...]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from flow_rl.configs import learners
from flow_rl.models import FlowPolicy
from flow_rl.testing.learners import pretrained

KNOWN = Path(__file__).with_name("results_of_lift.json")
SMALL = {"num_steps_per_env": 12, "max_iterations": 3}
FEW = {"num_critic_updates": 16, "num_actor_updates": 2}
"""What off-policy learners do in an iteration."""
OWN = ("bc_gaussian", "dppo", "dsrl", "flow_sde", "fpo", "ppo", "qam", "reinflow", "residual", "resip", "rldt")
OWN += ("sac_flow", "score_flow", "trqam")


def three_iterations(env, learner: str) -> list[dict[str, float]]:
    """What a learner logs in three iterations from a policy that nobody has trained."""
    from rsl_rl.runners import OnPolicyRunner

    from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper

    from flow_rl.cli.launch import agent_config, runner_dict

    torch.manual_seed(0)
    env.reset(seed=0)
    cfg = agent_config("FlowRL-Lift-Franka", learner, None, ["agent.actor.hidden_dims=[64,64]"])
    cfg.device = "cpu"
    cfg = runner_dict(cfg) | SMALL
    cfg["algorithm"] |= {"critic_warmup": 0} | (FEW if "num_critic_updates" in cfg["algorithm"] else {})
    runner = OnPolicyRunner(RslRlVecEnvWrapper(env, clip_actions=None), cfg, log_dir=None, device="cpu")
    policy = FlowPolicy.from_settings(runner.alg.actor.settings)
    policy.fit(torch.rand(64, policy.obs_dim) - 0.5, 2.0 * torch.rand(64, policy.action_dim) - 1.0)
    runner.alg.load(pretrained(policy))
    logged, update = [], runner.alg.update
    runner.alg.update = lambda: logged.append(update()) or logged[-1]
    runner.learn(3)
    return logged


@pytest.mark.sim
@pytest.mark.parametrize("learner", OWN)
def test_results_stay(make_env, learner):
    """Other processors, and sums in another order, round otherwise, and each iteration enlarges that.

    In the later iterations whether an episode succeeds by chance may differ, and with it a few numbers.
    """
    known = json.loads(KNOWN.read_text())[learner]
    with make_env(4, 8, "env.episode_length_s=3") as env:
        logged = three_iterations(env, learner)
    assert len(logged) == len(known) == 3
    for numbers, expected, tolerance, chance in zip(logged, known, (0.01, 0.15, 0.3), (0.0, 0.2, 0.2), strict=True):
        assert set(expected) <= set(numbers), "nothing that was logged is lost"
        close = {name: pytest.approx(value, rel=tolerance, abs=tolerance / 2) for name, value in expected.items()}
        far = {name: (numbers[name], value) for name, value in expected.items() if numbers[name] != close[name]}
        assert len(far) <= chance * len(expected), far
    assert 0.0 < logged[0]["policy_distance_m"] < 0.1, "the tool goes up to a few centimetres elsewhere"


def test_no_learner_is_forgotten():
    """Each of ours has its numbers."""
    assert {name for name, entry in learners().items() if entry.startswith("flow_rl.")} == set(OWN)


def main() -> None:
    """Write the numbers of this version, of the learners that are named or of all."""
    from tests.tasks.conftest import make_env

    make, numbers = make_env.__wrapped__(), json.loads(KNOWN.read_text())
    for learner in sys.argv[1:] or OWN:
        with make(4, 8, "env.episode_length_s=3") as env:
            logged = three_iterations(env, learner)
        kept = [{name: each[name] for name in each if not name.startswith("seconds_")} for each in logged]
        numbers[learner] = [{name: round(value, 6) for name, value in each.items()} for each in kept]
    KNOWN.write_text(json.dumps(dict(sorted(numbers.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
