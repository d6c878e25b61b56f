# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Blocks of transformers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class TransformerBlock(nn.Module):
    """Self-attention and a perceptron, each after a layer normalisation and added to what came in."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        """What tokens (B, P, width) gather from each other, of the same shape."""
        heads = self.query_key_value(x).unflatten(-1, (3, self.num_heads, -1))  # (B, P, 3, N, D)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # (B, N, P, D)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.mix(attended.transpose(1, 2).flatten(-2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, P, width) to the same shape."""
        x = x + self.attend(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class ModulatedBlock(TransformerBlock):
    """The same with shift, scale and gate of both halves by a condition (adaLN-zero of DiT, arXiv 2212.09748).

    The gates begin closed, so that depth costs a new net nothing.
    """

    def __init__(self, width: int, num_heads: int):
        super().__init__(width, num_heads)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Map tokens (B, P, width), given a condition (B, width), to the same shape."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(condition).unsqueeze(1).chunk(6, dim=-1)
        x = x + gate * self.attend(self.attention_norm(x) * (1.0 + scale) + shift)
        return x + mlp_gate * self.mlp(self.mlp_norm(x) * (1.0 + mlp_scale) + mlp_shift)
