# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Rotations in numpy are those of scipy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flow_rl.deploy import rotations

SPECIAL = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0], [0.5, 0.5, 0.5, 0.5]]
QUATS = np.array([*SPECIAL, *Rotation.random(20, rng=np.random.default_rng(0)).as_quat()])


def same(quat: np.ndarray, other: np.ndarray) -> bool:
    return abs(abs(quat @ other) - 1.0) < 1e-12


@pytest.mark.parametrize("quat", QUATS)
def test_they_agree_with_scipy(quat):
    theirs, other, vector = Rotation.from_quat(quat), QUATS[-1], np.array([0.3, -0.2, 0.9])
    np.testing.assert_allclose(rotations.matrix(quat), theirs.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotations.rotate(quat, vector), theirs.apply(vector), atol=1e-12)
    assert same(rotations.multiply(quat, other), (theirs * Rotation.from_quat(other)).as_quat())
    assert same(rotations.inverse(quat), theirs.inv().as_quat())
    assert same(rotations.from_matrix(theirs.as_matrix()), quat)
    assert same(rotations.from_vector(rotations.to_vector(quat)), quat)
    assert np.linalg.norm(rotations.to_vector(quat)) == pytest.approx(theirs.magnitude())
    assert same(rotations.from_columns(2.0 * rotations.to_columns(quat)), quat)
    for component in range(4):
        canonical = rotations.canonical(quat, component)
        assert canonical[component] >= 0.0 and same(canonical, quat)


def test_columns_are_orthonormalised():
    skewed = rotations.from_columns(np.array([1.0, 0.0, 0.0, 0.7, 2.0, 0.0]))
    assert same(skewed, np.array([0.0, 0.0, 0.0, 1.0]))


def test_small_turns_and_long_vectors():
    np.testing.assert_allclose(rotations.to_vector(rotations.from_vector(np.array([1e-12, 0, 0]))), [1e-12, 0, 0])
    np.testing.assert_allclose(rotations.bounded(np.array([3.0, 4.0, 0.0]), 1.0), [0.6, 0.8, 0.0])
    np.testing.assert_allclose(rotations.bounded(np.array([0.3, 0.4, 0.0]), 1.0), [0.3, 0.4, 0.0])
    np.testing.assert_allclose(rotations.bounded(np.zeros(3), 1.0), np.zeros(3))
