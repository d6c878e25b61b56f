# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The other plain anchor: PPO (arXiv 1707.06347) with a Gaussian policy that begins with nothing."""

from __future__ import annotations

import torch

from flow_rl.ranks.collective import gathered

from .bc_gaussian import BcGaussian


class Ppo(BcGaussian):
    """As :class:`BcGaussian`, without a clone: it tells what demonstrations are worth.

    The scales of observations, which else come from demonstrations, are those of its first rollout. Actions keep the
    environment's units: chunks lie in its box of [-1, 1].
    """

    @property
    def name(self) -> str:
        """PPO."""
        return "ppo"

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """After the first rollout of a random policy, take the scales of observations from that of all ranks."""
        if self.iteration == 0 and not self.policy_loaded:
            obs = self.storage.data["obs"].flatten(0, 1)
            seen = torch.cat([obs[group] for group in self.actor.group_dims], dim=-1)
            if self.world_size > 1:
                seen = torch.cat(gathered(seen.cpu())).to(self.device)
            self.actor.observer.normalizer.fit(seen)
            if self.world_size > 1:  # other machines may round otherwise
                self.broadcast_parameters()
        return super().finish_iteration(log)
