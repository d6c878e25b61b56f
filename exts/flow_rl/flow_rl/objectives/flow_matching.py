# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow matching: regression of a velocity field on straight lines from noise to data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from flow_rl.flows.path import interpolate, velocity_to_noise, velocity_to_target


def flow_matching_error(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    actions: torch.Tensor,
    noise: torch.Tensor,
    t: torch.Tensor,
    prediction: Literal["v", "x", "residual", "eps"] = "v",
) -> torch.Tensor:
    """Error of the predicted velocity, or of the action it points at, per coordinate, shape (..., H * A).

    With "eps" it is that of denoising (Ho et al., arXiv 2006.11239), whose times are those of levels of noise.

    Args:
        velocity: Field v(x, t).
        actions: Normalised action chunks x_1, shape (..., H * A).
        noise: Standard normal x_0, shape (..., H * A).
        t: Flow times, shape (..., 1).
        prediction: "x" compares the line's end, x_t + (1 - t) v, with x_1, "eps" its beginning, x_t - t v, with x_0,
            others v with x_1 - x_0.
    """
    x = interpolate(noise, actions, t)
    v = velocity(x, t)
    if prediction == "eps":
        return velocity_to_noise(v, x, t) - noise
    return velocity_to_target(v, x, t) - actions if prediction == "x" else v - (actions - noise)


def flow_matching_loss(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    actions: torch.Tensor,
    noise: torch.Tensor,
    t: torch.Tensor,
    prediction: Literal["v", "x", "residual", "eps"] = "v",
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean square of :func:`flow_matching_error`, whose arguments it takes (Lipman et al., arXiv 2210.02747).

    The mean is that over the coordinates of a mask ``counted`` (..., H * A), if there is one.
    """
    error = flow_matching_error(velocity, actions, noise, t, prediction).square()
    return error.mean() if counted is None else (error * counted).sum() / counted.sum()
