# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Newton's MuJoCo-Warp engine with its step recorded once and replayed, on the CPU too.

Isaac Lab records physics into a graph on CUDA only. On the CPU each Warp launch costs tens of microseconds of Python
and a control tick makes thousands of them, so replaying a recorded tick is several times faster, with the same results.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import ClassVar

import warp as wp

from isaaclab.assets import RigidObject
from isaaclab.physics import PhysicsManager
from isaaclab_newton.physics.mjwarp_manager import NewtonMJWarpManager

from .body_forces import BodyForceCallback, body_index

logger = logging.getLogger(__name__)


class NewtonMJWarpCpuGraphManager(NewtonMJWarpManager):
    """MuJoCo-Warp manager that replays a recorded step on the CPU and falls back to eager stepping.

    The first step after a (hard) reset runs eagerly, so that everything lazy is compiled and allocated; the second is
    recorded and launched; later ones are launched. Work registered after that is not part of the graph.
    """

    cpu_graph_enabled: ClassVar[bool] = True
    """Whether to record steps on the CPU; turned off for the process when recording fails once."""

    _cpu_graph: ClassVar[wp.Graph | None] = None
    _cpu_graph_warm: ClassVar[bool] = False

    @classmethod
    def register_body_forces(cls, objects: Sequence[RigidObject], callback: BodyForceCallback) -> wp.array:
        """Apply forces at every substep, see :mod:`flow_rl_tasks.physics.body_forces`; before the first step."""
        cls.register_state_force_callback(lambda state: callback(state.body_q, state.body_qd, state.body_f))
        return body_index(objects, cls.backend.model.body_label, PhysicsManager._device)

    @classmethod
    def _invalidate_graph(cls) -> None:
        """Forget the recorded step; the base class calls this whenever buffers or the loop have changed."""
        cls._forget_cpu_graph()
        super()._invalidate_graph()

    @classmethod
    def clear(cls) -> None:
        """Forget the recorded step with everything else."""
        cls._forget_cpu_graph()
        super().clear()

    @classmethod
    def _simulate_full(cls) -> None:
        cls._run(super()._simulate_full)

    @classmethod
    def _simulate_physics_only(cls) -> None:
        cls._run(super()._simulate_physics_only)

    @classmethod
    def _run(cls, simulate: Callable[[], None]) -> None:
        """Run one step: eagerly, or from the graph that is recorded on the second call."""
        if not cls.cpu_graph_enabled or "cuda" in PhysicsManager._device:
            simulate()
        elif not cls._cpu_graph_warm:
            simulate()
            cls._cpu_graph_warm = True
        elif cls._cpu_graph is not None or cls._record(simulate):
            wp.capture_launch(cls._cpu_graph)
        else:
            simulate()

    @classmethod
    def _record(cls, simulate: Callable[[], None]) -> bool:
        """Record one step without executing it; returns whether there is a graph now."""
        was_enabled = gc.isenabled()
        gc.disable()  # a collection inside the recording could free arrays that the graph refers to
        try:
            with wp.ScopedCapture(device=PhysicsManager._device) as capture:
                simulate()
            cls._cpu_graph = capture.graph
        except Exception as error:  # private and recent interfaces: any failure only costs speed
            cls.cpu_graph_enabled = False
            logger.warning("Recording physics on the CPU failed, stepping eagerly (slower): %s", error)
        finally:
            if was_enabled:
                gc.enable()
        return cls._cpu_graph is not None

    @classmethod
    def _forget_cpu_graph(cls) -> None:
        cls._cpu_graph = None
        cls._cpu_graph_warm = False
