# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The scripted expert assembles all furniture, also when it is made worse."""

import pytest
import torch

from tests.tasks.episodes import first_episodes

pytestmark = [pytest.mark.sim, pytest.mark.slow]

TASKS = [
    f"FlowRL-{name}-{randomness}-Franka" for name in ("OneLeg", "Lamp", "RoundTable") for randomness in ("Low", "Med")
]


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_solves_the_task(make_env, task):
    from flow_rl_tasks.furniture.expert import AssemblyExpert

    with make_env(horizon=1, task=task, physics="ovphysx") as env, torch.inference_mode():
        expert = AssemblyExpert(env)
        solved = first_episodes(env, expert)
        assert solved.float().mean() >= (0.85 if "Low" in task else 0.7)
        assert torch.isfinite(env.observation_manager.compute()["policy"]).all()


def test_the_expert_solves_the_task_on_newton(make_env):
    from flow_rl_tasks.furniture.expert import AssemblyExpert

    with make_env(horizon=1, num_envs=16, task=TASKS[0], physics="newton_mjwarp") as env, torch.inference_mode():
        assert first_episodes(env, AssemblyExpert(env)).float().mean() >= 0.75


@pytest.mark.parametrize("strategy", [0, 1])
def test_each_strategy_solves_the_task(make_env, strategy):
    from flow_rl_tasks.furniture.expert import AssemblyExpert

    class OneWay(AssemblyExpert):
        def reset(self, env_ids=None) -> None:
            super().reset(env_ids)
            self.strategy[:] = strategy

    with make_env(horizon=1, num_envs=16, task=TASKS[0], physics="ovphysx") as env, torch.inference_mode():
        assert first_episodes(env, OneWay(env)).float().mean() >= 0.85


def test_an_imperfect_expert_is_slower_but_still_succeeds(make_env):
    from flow_rl_tasks.furniture.expert import AssemblyExpert

    class Counted(AssemblyExpert):
        actions = 0

        def act(self) -> torch.Tensor:
            self.actions += 1
            return super().act()

    with make_env(horizon=1, task=TASKS[0], physics="ovphysx") as env, torch.inference_mode():
        perfect, fair = Counted(env), Counted(env, quality=0.5, seed=1)
        assert first_episodes(env, perfect).float().mean() >= 0.85
        assert first_episodes(env, fair).float().mean() > 0.4
        assert fair.actions > perfect.actions, "the last of the episodes takes longer"
        with pytest.raises(ValueError, match="quality=-0.1"):
            AssemblyExpert(env, quality=-0.1)
