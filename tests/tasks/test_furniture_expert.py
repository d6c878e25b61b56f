# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The scripted expert assembles all furniture, also when it is made worse."""

import dataclasses

import pytest
import torch

from flow_rl.testing import first_episodes
from tests.tasks.episodes import non_finite

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
        assert not non_finite(env)


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


def test_an_imperfect_expert_misses_and_tries_again(make_env):
    from flow_rl_tasks.furniture import expert as module

    class Watched(module.AssemblyExpert):
        """Counts control ticks; notices who lifts a part that did not go in, and who lets go of one that is not in."""

        def __init__(self, env, **kwargs):
            self.actions = 0
            super().__init__(env, **kwargs)
            self.missed, self.hurried = (torch.zeros(self.num_envs, dtype=torch.bool) for _ in range(2))

        def _advance(self, view) -> None:
            before = self.phase.clone()
            super()._advance(view)
            self.actions += 1
            self.missed |= (before == module.LOWER) & (self.phase == module.CARRY)
            self.hurried |= (before == module.LOWER) & (self.phase == module.RELEASE) & ~view.engaged

    with make_env(horizon=1, num_envs=16, task=TASKS[0], physics="ovphysx") as env, torch.inference_mode():
        perfect, fair = Watched(env), Watched(env, quality=0.5, seed=1)
        assert first_episodes(env, perfect).float().mean() >= 0.85
        solved = first_episodes(env, fair)
        assert fair.missed.sum() > perfect.missed.sum()
        assert solved[fair.missed].float().mean() > 0.4
        assert not fair.hurried.any()
        assert fair.actions > perfect.actions, "the last of the episodes takes longer"
        with pytest.raises(ValueError, match="quality=-0.1"):
            module.AssemblyExpert(env, quality=-0.1)


def test_how_an_imperfect_expert_errs(make_env):
    """Noise follows the speed of the phase; careful attempts lean and are corrected; a screw is pressed, not pulled."""
    from flow_rl_tasks.furniture import expert as module

    with make_env(horizon=1, num_envs=256, task=TASKS[0], physics="ovphysx") as env, torch.inference_mode():
        env.reset(seed=0)
        expert, perfect = module.AssemblyExpert(env, quality=0.5), module.AssemblyExpert(env)
        assert not perfect._aim.any() and not perfect._lean.any()
        leans = expert._lean.norm(dim=1) > 0
        assert torch.equal(leans, ~expert._hasty) and 0.1 < expert._hasty.float().mean() < 0.4
        assert 0.8 < expert._lean[leans].std() / (0.5 * expert.LEAN_ERROR) < 1.2

        expert.PAUSE_PROBABILITY = 0.0
        still = torch.zeros(env.num_envs, expert.arm.action_dim)
        for phase, (step, _) in module.SPEED.items():
            expert.phase[:] = phase
            spread = expert._spoil(still).std() / (0.5 * expert.ACTION_NOISE)
            assert spread == pytest.approx(step / 0.05, rel=0.15)

        before = expert._aim[leans], expert._lean[leans]
        expert.phase[:] = module.ALIGN
        expert._advance(expert._look())
        torch.testing.assert_close((expert._aim[leans], expert._lean[leans]), tuple(0.85 * x for x in before))

        expert.phase[:] = module.TURN
        view = expert._look()
        pos, _ = expert._goal(view)
        torch.testing.assert_close(pos[:, 2], view.tool_pos[:, 2] - expert.PRESS)


def test_when_the_expert_goes_on(make_env):
    """It waits around a part before it closes, lifts what gets no deeper, and leaves a screw when it is tight."""
    from flow_rl_tasks.furniture import expert as module

    with make_env(horizon=1, num_envs=4, task="FlowRL-Lamp-Low-Franka", physics="ovphysx") as env:
        expert, view = module.AssemblyExpert(env), None

        def ticks_in(phase: int, sinking: float = 0.0) -> int:
            """Control ticks, at most 18, that the expert spends in a phase while the parts stay where they are."""
            expert.phase[:] = module.CLOSE
            expert._advance(view)
            expert.phase[:] = phase
            expert.ticks[:] = 0
            for tick in range(18):
                expert._advance(dataclasses.replace(view, depth=view.depth + tick * sinking))
                if (expert.phase != phase).all():
                    return tick
            return 18

        view = expert._look()
        view = dataclasses.replace(view, grasp_pos=view.tool_pos)  # the tool is where it shall be
        expert._grasp_pos[:] = view.tool_pos
        assert ticks_in(module.DESCEND) == expert.STEADY_TICKS + 1
        assert ticks_in(module.LOWER) == expert.BLOCKED_TICKS + 1
        assert ticks_in(module.LOWER, sinking=0.004) == 18

        assembly, turn = expert.assembly, expert._turn[0]
        for made, turned, joint in ((1, 0.0, 0), (1, 0.3, 0), (1, 0.5, 1), (1, 0.3, 1), (0, 0.3, 0)):
            assembly.made[:, 0], assembly.turn[:, 0] = made, turn + turned
            assert (expert._look().joint == joint).all(), (made, turned)
