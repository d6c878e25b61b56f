# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rotations in numpy, for computers without torch. Quaternions are (x, y, z, w), as everywhere in this project."""

from __future__ import annotations

import numpy as np


def multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The rotation ``second``, followed by ``first``, shape (4,)."""
    (u, a), (v, b) = (first[:3], first[3]), (second[:3], second[3])
    return np.append(a * v + b * u + np.cross(u, v), a * b - u @ v)


def inverse(quat: np.ndarray) -> np.ndarray:
    """The rotation back, shape (4,)."""
    return quat * (-1.0, -1.0, -1.0, 1.0)


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector that was turned, shape (3,)."""
    return matrix(quat) @ vector


def matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3)."""
    x, y, z, w = quat / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Quaternion (4,) of a rotation matrix (3, 3)."""
    # Each row is the quaternion times one of its own components: the longest is the surest.
    (a, b, c), (d, e, f), (g, h, i) = rotation
    rows = np.array(
        [
            [1 + a - e - i, b + d, c + g, h - f],
            [b + d, 1 - a + e - i, f + h, c - g],
            [c + g, f + h, 1 - a - e + i, d - b],
            [h - f, c - g, d - b, 1 + a + e + i],
        ]
    )
    row = rows[np.argmax(np.diag(rows))]
    return row / np.linalg.norm(row)


def from_vector(vector: np.ndarray) -> np.ndarray:
    """Quaternion (4,) of a rotation vector (3,) [rad]."""
    angle = np.linalg.norm(vector)
    return np.append(0.5 * np.sinc(0.5 * angle / np.pi) * np.asarray(vector), np.cos(0.5 * angle))


def to_vector(quat: np.ndarray) -> np.ndarray:
    """Rotation vector (3,) of the shorter way round [rad]."""
    quat = np.where(quat[3] < 0.0, -quat, quat) / np.linalg.norm(quat)
    sine = np.linalg.norm(quat[:3])
    return quat[:3] * (2.0 if sine < 1e-9 else 2.0 * np.arctan2(sine, quat[3]) / sine)


def canonical(quat: np.ndarray, component: int) -> np.ndarray:
    """The one of q and -q whose given component is not negative; both are the same rotation."""
    return -quat if quat[component] < 0.0 else quat


def to_columns(quat: np.ndarray) -> np.ndarray:
    """First two columns of the rotation matrix, one after the other, shape (6,)."""
    return matrix(quat)[:, :2].T.ravel()


def from_columns(columns: np.ndarray) -> np.ndarray:
    """Quaternion (4,) of two columns (6,) of a rotation matrix, which are orthonormalised (Zhou et al., 2019)."""
    x = columns[:3] / np.linalg.norm(columns[:3])
    y = columns[3:] - (x @ columns[3:]) * x
    y = y / np.linalg.norm(y)
    return from_matrix(np.stack((x, y, np.cross(x, y)), axis=1))


def bounded(vector: np.ndarray, length: float) -> np.ndarray:
    """A vector in its direction, at most as long as given."""
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-9))
