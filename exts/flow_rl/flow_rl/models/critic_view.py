# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a critic without privileges sees of images."""

from __future__ import annotations

import copy

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.utils.check import require

from .flow_policy import FlowPolicy

BATCH = 4096
"""Images of each camera encoded at once: a whole rollout's attention would fill a GPU."""


class CriticView(nn.Module):
    """Features in the place of a critic's images, by the encoders of the policy that learning began with.

    The encoders stay as they were: neither critic loss nor policy loss moves what the critic sees, and values of the
    replay's old observations keep their meaning. So features are computed once, when observations arrive, and kept
    beside the images, which the policy still learns from. Critics then are those of vectors.
    """

    def __init__(self, actor: FlowPolicy, groups: list[str]):
        """Take copies of the policy's normaliser and encoders.

        Args:
            actor: The policy.
            groups: What the critic sees of the environment's observations.
        """
        super().__init__()
        self.features = {group: f"{group}_features" for group in groups if group in actor.image_shapes}
        self.groups = [self.features.get(group, group) for group in groups]
        self.vectors = list(actor.group_dims)
        self.sources = [*self.vectors, *actor.observer.image_shapes]
        self.normalizer = copy.deepcopy(actor.observer.normalizer).requires_grad_(False)
        self.encoder = copy.deepcopy(actor.observer.encoder).requires_grad_(False)

    @staticmethod
    def make(actor: FlowPolicy, obs: TensorDict, groups: list[str]) -> CriticView | None:
        """The view of a critic that sees these groups, or None if there are no images among them."""
        images = [group for group in groups if obs[group].dim() > 2]
        require(
            set(images) <= set(actor.observer.image_shapes),
            "agent.obs_groups.critic",
            groups,
            f"vectors, and images that networks of the actor see, {sorted(actor.observer.image_shapes)}",
            "let the actor see these cameras, too, or give the critic the state.",
        )
        return CriticView(actor, groups) if images else None

    def follow(self, actor: FlowPolicy) -> None:
        """See from now on as this policy does."""
        self.normalizer.load_state_dict(actor.observer.normalizer.state_dict())
        self.encoder.load_state_dict(actor.observer.encoder.state_dict())

    @torch.no_grad()
    def forward(self, obs: TensorDict | dict) -> TensorDict:
        """Observations (...) with the groups of features (..., F) besides."""
        lead = obs[self.vectors[0]].shape[:-1]
        flat = TensorDict({group: obs[group] for group in self.sources}, batch_size=lead).flatten()
        features = torch.cat([self._encode(part) for part in flat.split(BATCH)]).unflatten(0, lead)
        cameras = dict(zip(self.encoder.encoders, features.chunk(len(self.encoder.encoders), dim=-1), strict=True))
        added = {name: cameras[group] for group, name in self.features.items()}
        return TensorDict({**obs, **added}, batch_size=lead)

    def _encode(self, obs: TensorDict) -> torch.Tensor:
        """Features (N, F) of all cameras side by side."""
        state = self.normalizer(torch.cat([obs[group] for group in self.vectors], dim=-1))
        return self.encoder(obs, state)
