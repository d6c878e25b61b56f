# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An ensemble of action values."""

from __future__ import annotations

import torch
from rsl_rl.modules import EmpiricalNormalization
from tensordict import TensorDict
from torch import nn

from flow_rl.nn import DuelingEnsemble, EnsembleMLP
from flow_rl.utils.check import require


class QEnsemble(nn.Module):
    """Values Q_m(observation, normalised chunk) of M members, behind the part of rsl_rl's model interface critics have.

    Its observations may be other ones than the policy's, such as privileged ones.
    """

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        num_actions: int,
        *,
        num_members: int,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
        weight_std: float,
        obs_normalization: bool,
        dueling: bool,
        layer_norm: bool = False,
        distribution_cfg: dict | None = None,
    ):
        """Build the ensemble; its config explains the settings.

        Args:
            obs: Observation groups, of which only the shapes are read.
            obs_groups: Groups that belong to each observation set.
            obs_set: Observation set of this model.
            num_actions: Size of the flattened chunk, H * A.
            num_members: Number M of members.
            hidden_dims: Widths of each member.
            activation: Activation, as named by rsl_rl.
            weight_std: Deviation of the initial weights.
            obs_normalization: Whether observations are normalised by their running mean and deviation.
            dueling: Whether values are those of the observation plus advantages of the chunk.
            layer_norm: Whether hidden layers are normalised.
            distribution_cfg: Not used; values have no distribution.
        """
        super().__init__()
        field = "agent.critic."
        require(num_members >= 1, field + "num_members", num_members, "an integer >= 1", "use 2, the default.")
        require(weight_std > 0, field + "weight_std", weight_std, "> 0", "use 0.1, the default.")
        require(len(hidden_dims) > 0, field + "hidden_dims", hidden_dims, "at least one width", "use [256, 256, 256].")
        require(
            distribution_cfg is None, field + "distribution_cfg", distribution_cfg, "None", "leave it out: values only."
        )
        self.obs_groups, self.num_members, self.dueling = list(obs_groups[obs_set]), num_members, dueling
        obs_dim = sum(obs[group].shape[-1] for group in self.obs_groups)
        self.obs_normalizer = EmpiricalNormalization(obs_dim) if obs_normalization else nn.Identity()
        nets = hidden_dims, activation, weight_std, layer_norm
        if dueling:
            self.mlp = DuelingEnsemble(num_members, obs_dim, num_actions, *nets)
        else:
            self.mlp = EnsembleMLP(num_members, obs_dim + num_actions, 1, *nets)

    def get_latent(self, obs: TensorDict | dict) -> torch.Tensor:
        """Normalised observation, shape (..., O)."""
        return self.obs_normalizer(torch.cat([obs[group] for group in self.obs_groups], dim=-1))

    def forward(self, latent: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Values of chunks (M or 1, N, H * A) at normalised observations (M or 1, N, O), shape (M, N)."""
        return self.mlp(torch.cat([latent, actions], dim=-1)).squeeze(-1)

    def estimates(self, latent: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """What is fitted, each to a target of its own, and adds up to the values: Q, or V and A; (M, N, 1 or 2)."""
        return (self.mlp.estimates if self.dueling else self.mlp)(torch.cat([latent, actions], dim=-1))

    def update_normalization(self, obs: TensorDict) -> None:
        """Take observations (N,) into the running statistics."""
        if isinstance(self.obs_normalizer, EmpiricalNormalization):
            self.obs_normalizer.update(torch.cat([obs[group] for group in self.obs_groups], dim=-1))
