# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The memoryless SDE of a flow: noisy paths from noise to action whose ends do not remember where they began.

dx = (2 v(x, t) - x / t) dt + sigma(t) dW with sigma(t)^2 = 2 (1 - t) / t has the marginals of the flow dx = v dt
(adjoint matching, arXiv 2409.08861), and tilting its paths by exp(eta Q) of their ends tilts the ends alone. On K
steps, times in x / t and in sigma are shifted by h = 1 / K, away from t = 0, as in the code of QAM (arXiv 2601.14234).
"""

from __future__ import annotations

import torch

from .chain import Field


def memoryless_variance(num_steps: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Variances sigma_i^2 = 2 (1 - t_i + h) / (t_i + h) of K steps, shape (K, 1, 1)."""
    step = torch.arange(num_steps, dtype=torch.float32, device=device).view(-1, 1, 1)
    return 2.0 * (num_steps - step + 1.0) / (step + 1.0)


def sample_memoryless(fast: Field, slow: Field, noise: torch.Tensor, num_steps: int) -> torch.Tensor:
    """States x_0 .. x_K of the fast field's SDE, shape (K + 1, B, D), without gradients.

    The last step, whose noise is the least, is one of the slow field's flow without noise.

    Args:
        fast: Velocity v_f(x, t) that is being learnt.
        slow: Velocity v_b(x, t) that it is compared with.
        noise: Initial state x_0, shape (B, D).
        num_steps: Number K of steps, at least 2.
    """
    h = 1.0 / num_steps
    deviation = (h * memoryless_variance(num_steps, noise.device)).sqrt()
    states = [noise]
    with torch.no_grad():
        for i in range(num_steps - 1):
            x, t = states[-1], torch.full_like(noise[:, :1], i * h)
            drift = 2.0 * fast(x, t) - x / ((i + 1) * h)
            states.append(x + h * drift + deviation[i] * torch.randn_like(x))
        states.append(states[-1] + h * slow(states[-1], torch.full_like(noise[:, :1], 1.0 - h)))
    return torch.stack(states)
