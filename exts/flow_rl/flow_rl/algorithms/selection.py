# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Best of N chunks by the critic, an add-on to any off-policy learner (IDQL 2304.10573, EXPO 2507.07986)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING

import torch
from tensordict import TensorDict

from flow_rl.ranks.collective import count

from .base import Decision
from .optimizer import ParameterGroup

if TYPE_CHECKING:
    from .off_policy import OffPolicyAlgorithm

DRAWS = 4
"""Chunks per observation by which a selector learns."""

Choose = Callable[[torch.Tensor], torch.Tensor]
"""Function that takes of values (N * B, ...) of candidates, the first ones first, those (B, ...) of the best."""


class Selection:
    """What a policy's selector asks of its learner.

    In rollouts and in what returns end with, the critic's target chooses among N chunks, each drawn as the learner
    draws one. What is played is chosen by the selector, which learns the critic's opinion from what the policy sees.
    """

    def __init__(self, learner: OffPolicyAlgorithm):
        """Let the selector learn, of a policy that else stays as it is, too."""
        self.learner, self.selector = learner, learner.actor.selector
        self.selector.requires_grad_(True)
        self.num_candidates = self.selector.num_candidates

    def group(self) -> ParameterGroup:
        """The selector's parameters, at the critic's rate."""
        settings = self.learner.settings
        rates = settings.critic_learning_rate, settings.final_critic_learning_rate
        return ParameterGroup(list(self.selector.parameters()), *rates)

    def best(self, obs: TensorDict, chunks: torch.Tensor, bonus: torch.Tensor | None = None) -> Choose:
        """Choose by the value of chunks (N * B, H * A) at observations (B,), with bonuses (N * B) where there are."""
        critic = self.learner.td_critic
        values = critic.member_values(obs, chunks.unflatten(0, (-1, len(obs))))  # (M, N, B)
        values = values if bonus is None else values + bonus.view(*values.shape[1:])
        best = critic.reduce(values).argmax(dim=0)
        place = torch.arange(len(best), device=best.device)
        return lambda each: each.unflatten(0, (-1, len(best)))[best, place]

    def decide(self, obs: TensorDict) -> Decision:
        """Best of the learner's chunks at observations (E,)."""
        learner = self.learner
        drawn = learner.explore(learner.actor.get_latent(obs).repeat(self.num_candidates, 1))
        choose = self.best(obs, learner.judged(drawn))
        return Decision(choose(drawn.chunk), {name: choose(field) for name, field in drawn.record.items()})

    def next_chunks(self, obs: TensorDict) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As the learner's :meth:`~OffPolicyAlgorithm.next_chunks`, each the best of several."""
        chunks, bonus = self.learner.next_chunks(torch.cat([obs] * self.num_candidates))
        draws = zip(chunks, repeat(None) if bonus is None else bonus, strict=False)
        best = [self.best(obs, *draw) for draw in draws]

        def chosen(values: torch.Tensor) -> torch.Tensor:
            return torch.stack([choose(value) for choose, value in zip(best, values, strict=True)])

        return chosen(chunks), None if bonus is None else chosen(bonus)

    def step(self, batch: TensorDict) -> dict[str, torch.Tensor]:
        """One step of the selector at decisions (B, 1) of the replay; returns scalars for the log.

        Selector and critic are compared by how chunks at an observation differ, which is all that choosing needs.
        """
        learner = self.learner
        obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
        with torch.no_grad():
            latent = learner.actor.get_latent(obs)
            drawn = learner.explore(latent.repeat(DRAWS, 1))
            chunks, judged = (x.unflatten(0, (DRAWS, -1)) for x in (drawn.chunk, learner.judged(drawn)))
            value = learner.td_critic.reduce(learner.td_critic.member_values(obs, judged))  # (DRAWS, B)
            value = value - value.mean(dim=0)
        said = self.selector.values(chunks, latent)
        said = said - said.mean(dim=0)
        weight = exists / count(exists) / DRAWS  # places of an empty replay count nothing
        learner.optimizer.minimize(((said - value).square() * weight).sum())
        said = said.detach()
        spread = ((said.square() * weight).sum() * (value.square() * weight).sum()).sqrt()
        return {
            "selector_agreement": (said * value * weight).sum() / spread.clamp(min=1e-12),
            "selector_spread": (value.square() * weight).sum().sqrt(),
        }
