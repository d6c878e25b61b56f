# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Residual multilayer perceptron."""

from __future__ import annotations

import torch
from rsl_rl.utils import resolve_nn_activation
from torch import nn


class ResidualMLP(nn.Module):
    """Input layer, one pre-activation residual layer per further width, output layer (after DPPO's, arXiv 2409.00588).

    Each residual layer is x + W act(x); where two widths differ, a linear map without bias carries x.
    """

    def __init__(self, input_dim: int, output_dim: int, hidden_dims: list[int] | tuple[int, ...], activation: str):
        super().__init__()
        self.input = nn.Linear(input_dim, hidden_dims[0])
        pairs = list(zip(hidden_dims[:-1], hidden_dims[1:], strict=True))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.skips = nn.ModuleList(nn.Identity() if a == b else nn.Linear(a, b, bias=False) for a, b in pairs)
        self.activation = resolve_nn_activation(activation)
        self.output = nn.Linear(hidden_dims[-1], output_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., input_dim) to (..., output_dim)."""
        x = self.input(x)
        for layer, skip in zip(self.layers, self.skips):  # noqa: B905 (TorchScript knows no strict)
            x = skip(x) + layer(self.activation(x))
        return self.output(self.activation(x))
