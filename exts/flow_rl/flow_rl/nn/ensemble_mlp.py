# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Several multilayer perceptrons of one shape, evaluated together."""

from __future__ import annotations

import torch
from rsl_rl.utils import resolve_nn_activation
from torch import nn


class EnsembleMLP(nn.Module):
    """M independent networks as batched matrix products: one call per layer, however many members there are."""

    def __init__(
        self,
        num_members: int,
        input_dim: int,
        output_dim: int,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
        weight_std: float,
        layer_norm: bool = False,
    ):
        """Draw the weights from N(0, weight_std^2), independently for each member; biases begin at zero.

        With `layer_norm` each hidden layer is normalised, with a gain and a shift per member, before its activation.
        """
        super().__init__()
        dims = [input_dim, *hidden_dims, output_dim]
        self.weights = nn.ParameterList(
            nn.Parameter(weight_std * torch.randn(num_members, a, b)) for a, b in zip(dims[:-1], dims[1:], strict=True)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(num_members, 1, b)) for b in dims[1:])
        normed = hidden_dims if layer_norm else []
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(num_members, 1, width)) for width in normed)
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(num_members, 1, width)) for width in normed)
        self.activation = resolve_nn_activation(activation)
        self.num_members, self.layer_norm = num_members, layer_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (M or 1, N, input_dim), one batch for each member or one for all, to (M, N, output_dim)."""
        x = x.expand(self.num_members, -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i > 0:
                if self.layer_norm:
                    x = nn.functional.layer_norm(x, x.shape[-1:]) * self.gains[i - 1] + self.shifts[i - 1]
                x = self.activation(x)
            x = torch.baddbmm(bias, x, weight)
        return x


class DuelingEnsemble(nn.Module):
    """M independent values Q(s, a) = V(s) + A(s, a) (Wang et al., 2016, "Dueling Network Architectures").

    Actions follow from states nearly always, so a single network may explain values of states by actions, and its
    gradient then leads to actions that are usual in better states, not to better actions. Here only A sees actions,
    each is fitted on its own, and A begins at zero.
    """

    def __init__(
        self,
        num_members: int,
        state_dim: int,
        action_dim: int,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
        weight_std: float,
        layer_norm: bool = False,
    ):
        """Draw the weights as :class:`EnsembleMLP` does, but those of A's last layer are zero."""
        super().__init__()
        self.state_dim = state_dim
        nets = hidden_dims, activation, weight_std, layer_norm
        self.value = EnsembleMLP(num_members, state_dim, 1, *nets)
        self.advantage = EnsembleMLP(num_members, state_dim + action_dim, 1, *nets)
        nn.init.zeros_(self.advantage.weights[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map states and actions (M or 1, N, S + D) to Q, shape (M, N, 1)."""
        return self.estimates(x).sum(dim=-1, keepdim=True)

    def estimates(self, x: torch.Tensor) -> torch.Tensor:
        """V and A of states and actions (M or 1, N, S + D), shape (M, N, 2)."""
        return torch.cat([self.value(x[..., : self.state_dim]), self.advantage(x)], dim=-1)
