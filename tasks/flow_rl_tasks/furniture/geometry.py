# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Directions and orientations, batched."""

from __future__ import annotations

import math

import torch

from isaaclab.utils.math import matrix_from_quat, quat_from_angle_axis


def yaw_near(yaw: torch.Tensor, largest: torch.Tensor | float) -> torch.Tensor:
    """The largest yaw up to ``largest`` [rad] from which a square looks the same as from ``yaw``, shape (E,)."""
    return largest - torch.remainder(largest - yaw, math.pi / 2)


def approach(quat: torch.Tensor) -> torch.Tensor:
    """Direction in which a tool points, shape (E, 3)."""
    return matrix_from_quat(quat)[:, :, 2]


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle between orientations (E, 4), in [0, pi], shape (E,)."""
    return 2.0 * (a * b).sum(dim=1).abs().clamp(max=1.0).acos()


def shortest_arc(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Rotation that brings one direction (E, 3) onto another the shortest way, shape (E, 4)."""
    normal = torch.linalg.cross(a, b)
    sine, cosine = normal.norm(dim=1), (a * b).sum(dim=1)
    return quat_from_angle_axis(torch.atan2(sine, cosine), normal / sine.unsqueeze(1).clamp(min=1e-9))
