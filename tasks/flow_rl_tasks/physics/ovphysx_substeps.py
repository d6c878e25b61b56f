# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Kit-less PhysX whose one step is several substeps with held targets, made in one native call."""

from __future__ import annotations

import warp as wp

from isaaclab.physics import PhysicsManager
from isaaclab.sim import SimulationContext
from isaaclab_ov.physics.ovphysx_manager import OvPhysxManager


class _SharedState(type(OvPhysxManager)):
    """Writes class attributes to the base class, where Isaac Lab's assets and sensors read them."""

    def __setattr__(cls, name, value):
        setattr(OvPhysxManager, name, value)


class OvPhysxSubstepManager(OvPhysxManager, metaclass=_SharedState):
    """PhysX manager that divides a step into :attr:`OvPhysxSubstepCfg.num_substeps` substeps.

    Joint targets are held over the substeps and external wrenches last for the first one only.
    """

    @classmethod
    def initialize(cls, sim_context: SimulationContext) -> None:
        """Initialize the manager, on machines without a CUDA driver too."""
        if not wp.is_cuda_available():
            # Isaac Lab asks for pinned host memory, which Warp only has with a CUDA driver.
            cpu = wp.get_device("cpu")
            cpu.pinned_allocator = cpu.default_allocator
        super().initialize(sim_context)

    @classmethod
    def step(cls) -> None:
        """Advance the simulation by one step, in substeps."""
        if cls.backend is None or cls.backend.physx is None:
            return
        dt = cls.get_physics_dt()
        num_substeps = PhysicsManager._cfg.num_substeps
        cls.backend.physx.step_n_sync(num_substeps, dt / num_substeps)
        cls.kinematics_dirty = True
        cls.update_kinematics()
        cls._scene_data_backend.transforms_timestamp += 1
        cls._scene_data_backend.geometry_timestamp += 1
        PhysicsManager._sim_time += dt
