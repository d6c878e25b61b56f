# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where observations enter a learner: pictures are encoded once, for all that see them."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from flow_rl.models import CriticView


class Door:
    """Adds to the environment's observations what a critic sees of images, once for each step."""

    def __init__(self, view: CriticView | None, device: str | torch.device):
        """Build the door; without a view, observations pass as they are."""
        self.view, self.device = view, device
        self.forget()

    def __call__(self, obs: TensorDict) -> TensorDict:
        """Observations (E,) with what the critic sees of images."""
        if self.view is None:
            return obs
        if obs is not self._last[0]:
            self._last = obs, self.view(obs)
        return self._last[1]

    def forget(self) -> None:
        """Take the next observations for new ones; an environment may write them into the same object."""
        self._last: tuple[TensorDict | None, TensorDict | None] = None, None

    def sources(self, groups: list[str]) -> list[str]:
        """The environment's groups from which groups behind the door come."""
        if self.view is None:
            return groups
        own = [group for group in groups if group not in self.view.features.values()]
        return list(dict.fromkeys([*own, *self.view.sources]))

    def final_obs(self, extras: dict, groups: list[str]) -> TensorDict | dict:
        """Groups (E,) of the last observations before resets, valid only where an episode ended."""
        obs = {group: extras["final_obs"][group].to(self.device) for group in self.sources(groups)}
        return obs if self.view is None else self.view(obs)
