# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A network that says nothing until it has learnt."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def quiet_mlp(input_dim: int, hidden_dims: list[int], output_dim: int) -> nn.Sequential:
    """Layers of these widths with SiLU between them, whose outputs are zero at first."""
    dims = [input_dim, *hidden_dims]
    layers: list[nn.Module] = []
    for a, b in pairwise(dims):
        layers += [nn.Linear(a, b), nn.SiLU()]
    last = nn.Linear(dims[-1], output_dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
