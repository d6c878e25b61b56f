# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow times: the grid of the integrator and the laws from which training draws."""

from __future__ import annotations

from typing import Literal, get_args

import torch

TimeLaw = Literal["uniform", "logit_normal", "beta"]
"""Laws of the flow time during pretraining; `beta` is Beta(1.5, 1) turned towards noise, as in pi_0."""


def time_grid(num_steps: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Times i / K at which K integration steps begin, shape (K, 1). Sampling and scoring share this grid."""
    return torch.arange(num_steps, dtype=torch.float32, device=device).unsqueeze(-1) / num_steps


def sample_times(
    num: int, law: TimeLaw = "uniform", *, device: torch.device | str | None = None, max_time: float = 0.999
) -> torch.Tensor:
    """Random flow times in [0, max_time], shape (num, 1)."""
    if law == "uniform":
        t = torch.rand(num, 1, device=device)
    elif law == "logit_normal":
        t = torch.randn(num, 1, device=device).sigmoid()
    elif law == "beta":
        # The distribution function u^1.5 of Beta(1.5, 1) inverts in closed form; 1 - u favours small times.
        t = 1.0 - torch.rand(num, 1, device=device) ** (1.0 / 1.5)
    else:
        raise ValueError(f"time law {law!r} is not one of {get_args(TimeLaw)}")
    return t * max_time
