# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The time coefficient of the score drift."""

from __future__ import annotations

import torch
from torch import nn


class ScoreCoefficient(nn.Module):
    """alpha(t) = min((1 - t) g(t) Gamma, 2 Gamma), the weight of the score in ScoRe-Flow (arXiv 2604.10962).

    The factor 1 - t cancels the score's 1 / (1 - t), so that their product stays bounded. The network starts at
    g = log(1 + exp(-2)) = 0.127.
    """

    def __init__(self, scale: float = 1.0, kind: str = "mlp"):
        """Build the coefficient.

        Args:
            scale: Gamma.
            kind: Shape of g: "mlp", a small network, "linear", a softplus of a line, or "fixed", 1.
        """
        super().__init__()
        self.scale = scale
        if kind == "mlp":
            head = nn.Linear(16, 1)
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, -2.0)
            layers = [nn.Linear(1, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), head]
            self.g = nn.Sequential(*layers, nn.Softplus())
        elif kind == "linear":
            self.g = nn.Sequential(nn.Linear(1, 1), nn.Softplus())
        elif kind == "fixed":
            self.g = torch.ones_like

    @torch.enable_grad()
    def fit(self, t: torch.Tensor, alpha: torch.Tensor) -> None:
        """Take the shape of coefficients (K, 1) at times (K, 1), as well as the kind can."""
        parameters = list(self.parameters())
        learning = [parameter.requires_grad for parameter in parameters]
        if not parameters:
            return
        self.requires_grad_(True)
        optimizer = torch.optim.LBFGS(parameters, max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-12)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            error = (self(t) - alpha).square().sum()
            error.backward()
            return error

        optimizer.step(loss)
        optimizer.zero_grad()
        for parameter, learns in zip(parameters, learning, strict=True):
            parameter.requires_grad_(learns)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Coefficient alpha at times (..., 1), same shape."""
        return ((1.0 - t) * self.g(t) * self.scale).clamp(max=2.0 * self.scale)
