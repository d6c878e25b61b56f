# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Kit-less PhysX whose one step is several substeps with held targets, made in one native call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from unittest import mock

import warp as wp

import isaaclab_ov.tensor_types as TT
from isaaclab.assets import RigidObject
from isaaclab.physics import PhysicsManager
from isaaclab.sim import SimulationContext
from isaaclab_ov._runtime import import_ovphysx
from isaaclab_ov.physics.ovphysx_manager import OvPhysxManager
from isaaclab_ov.sim.views.ovphysx_view import OvPhysxView

from .body_forces import BodyForceCallback, body_index, body_paths


@wp.kernel
def pack_wrenches(
    pose: wp.array(dtype=wp.transform),
    com: wp.array(dtype=wp.transform),
    force: wp.array(dtype=wp.spatial_vector),
    wrench: wp.array2d(dtype=float),
):
    """Write forces and torques at centres of mass as PhysX wants them: force, torque, point of attack."""
    body = wp.tid()
    point = wp.transform_point(pose[body], wp.transform_get_translation(com[body]))
    for i in range(6):
        wrench[body, i] = force[body][i]
    for i in range(3):
        wrench[body, 6 + i] = point[i]


class BodyForces:
    """Forces on some bodies, computed from their state and handed to PhysX for one substep."""

    def __init__(self, physx, objects: Sequence[RigidObject], callback: BodyForceCallback, device: str):
        self.callback = callback
        paths = [path for paths in body_paths(objects) for path in paths]
        self.view = OvPhysxView(physx, prim_paths=paths, device=device, eager=True, tensor_types=[TT.RIGID_BODY_POSE])
        count = self.view.count
        self.index = body_index(objects, self.view.prim_paths, device)
        self.pose = wp.zeros(count, dtype=wp.transform, device=device)
        self.velocity = wp.zeros(count, dtype=wp.spatial_vector, device=device)
        self.force = wp.zeros(count, dtype=wp.spatial_vector, device=device)
        self.wrench = wp.zeros((count, 9), dtype=float, device=device)
        com = wp.zeros(count, dtype=wp.transform, device="cpu")
        self.view.read_into(TT.RIGID_BODY_COM_POSE, com)
        self.com = com.to(device)

    def apply(self) -> None:
        """Compute the forces for the next substep."""
        self.view.read_into(TT.RIGID_BODY_POSE, self.pose)
        self.view.read_into(TT.RIGID_BODY_VELOCITY, self.velocity)
        self.force.zero_()
        self.callback(self.pose, self.velocity, self.force)
        buffers = [self.pose, self.com, self.force, self.wrench]
        wp.launch(pack_wrenches, dim=len(self.force), inputs=buffers, device=self.force.device)
        self.view.set_attribute(TT.RIGID_BODY_WRENCH, self.wrench)


class _SharedState(type(OvPhysxManager)):
    """Writes class attributes to the base class, where Isaac Lab's assets and sensors read them."""

    def __setattr__(cls, name, value):
        setattr(OvPhysxManager, name, value)


class OvPhysxSubstepManager(OvPhysxManager, metaclass=_SharedState):
    """PhysX manager that divides a step into :attr:`OvPhysxSubstepCfg.num_substeps` substeps.

    Joint targets are held over the substeps and external wrenches last for the first one only. With registered body
    forces each substep is a call of its own.
    """

    _body_forces: ClassVar[list[BodyForces]] = []

    @classmethod
    def initialize(cls, sim_context: SimulationContext) -> None:
        """Initialize the manager, on machines without a CUDA driver too."""
        if not wp.is_cuda_available():
            # Isaac Lab asks for pinned host memory, which Warp only has with a CUDA driver.
            cpu = wp.get_device("cpu")
            cpu.pinned_allocator = cpu.default_allocator
        super().initialize(sim_context)

    @classmethod
    def _warmup_and_load(cls) -> None:
        """Load the stage, on the CPU with as many threads as the settings say: they cannot be changed afterwards."""
        ovphysx, threads = import_ovphysx(), PhysicsManager._cfg.num_threads
        make = ovphysx.PhysXConfig

        def config(**fields):
            return make(**fields if "cuda" in PhysicsManager._device else fields | {"num_threads": threads})

        with mock.patch.object(ovphysx, "PhysXConfig", config):
            super()._warmup_and_load()

    @classmethod
    def register_body_forces(cls, objects: Sequence[RigidObject], callback: BodyForceCallback) -> wp.array:
        """Apply forces at every substep, see :mod:`flow_rl_tasks.physics.body_forces`."""
        forces = BodyForces(cls.backend.physx, objects, callback, PhysicsManager._device)
        cls._body_forces.append(forces)
        return forces.index

    @classmethod
    def close(cls) -> None:
        """Forget the body forces with everything else."""
        cls._body_forces.clear()
        super().close()

    @classmethod
    def step(cls) -> None:
        """Advance the simulation by one step, in substeps."""
        if cls.backend is None or cls.backend.physx is None:
            return
        dt = cls.get_physics_dt()
        num_substeps = PhysicsManager._cfg.num_substeps
        if cls._body_forces:
            for _ in range(num_substeps):
                for forces in cls._body_forces:
                    forces.apply()
                cls.backend.physx.step_n_sync(1, dt / num_substeps)
        else:
            cls.backend.physx.step_n_sync(num_substeps, dt / num_substeps)
        cls.kinematics_dirty = True
        cls.update_kinematics()
        cls._scene_data_backend.transforms_timestamp += 1
        cls._scene_data_backend.geometry_timestamp += 1
        PhysicsManager._sim_time += dt
