# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Forces on rigid objects that depend on their motion and are computed anew at every substep, on both engines.

Both managers of this package offer ``register_body_forces(objects, callback)``. The callback is given all bodies of the
engine and adds to their forces::

    callback(pose, velocity, force)

with ``pose`` the poses of the bodies' frames (wp.transform), ``velocity`` the linear velocities of their centres of
mass and their angular velocities, and ``force`` forces [N] and torques [N m] at the centres of mass (both
wp.spatial_vector), all in the world. Returned is where the objects are in these arrays, a Warp array of shape (E,
number of objects). The callback may only launch kernels: its launches become part of recorded graphs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import warp as wp

from isaaclab.assets import RigidObject

_ANY_ENV = re.compile(r"/env_[^a-z0-9]+/")
"""How Isaac Lab writes "in any environment" in the paths of assets."""

BodyForceCallback = Callable[[wp.array, wp.array, wp.array], None]


def body_paths(objects: Sequence[RigidObject]) -> list[list[str]]:
    """Paths of the rigid bodies, per object one for each environment."""
    return [
        [_ANY_ENV.sub(f"/env_{env}/", rigid_object.cfg.prim_path) for env in range(rigid_object.num_instances)]
        for rigid_object in objects
    ]


def body_index(objects: Sequence[RigidObject], labels: Sequence[str], device: str) -> wp.array:
    """Index of the objects' bodies among an engine's labels, shape (E, number of objects)."""
    where = {label: index for index, label in enumerate(labels)}
    columns = [[where[path] for path in paths] for paths in body_paths(objects)]
    return wp.array(list(zip(*columns, strict=True)), dtype=int, device=device)
