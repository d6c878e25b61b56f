# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Physics presets of the manipulation tasks: ``physics=newton_mjwarp`` (default) and ``physics=ovphysx``."""

from isaaclab.utils import configclass
from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg
from isaaclab_ov.physics import OvPhysxCfg
from isaaclab_tasks.utils import PresetCfg


@configclass
class CpuGraphMJWarpSolverCfg(MJWarpSolverCfg):
    """MuJoCo-Warp solver whose step is recorded and replayed on the CPU as well."""

    class_type = "{DIR}.newton_cpu_graph:NewtonMJWarpCpuGraphManager"


@configclass
class OvPhysxSubstepCfg(OvPhysxCfg):
    """Kit-less PhysX with substeps inside one simulation step."""

    class_type = "{DIR}.ovphysx_substeps:OvPhysxSubstepManager"

    num_substeps: int = 1
    """Number of solver steps into which one simulation step is divided."""

    num_threads: int = 0
    """Threads of PhysX besides our own, on the CPU.

    The host's eight spin: on two cores steps took 1.2 to 2 times as long.
    """


def newton_cfg(njmax: int, nconmax: int) -> NewtonCfg:
    """Newton for contact-rich manipulation at a control tick of 0.1 s.

    The buffers for constraint rows and contacts are per environment. On the CPU the cost grows with them; when they are
    too small, contacts are dropped and a warning is printed.
    """
    return NewtonCfg(
        num_substeps=20,  # 5 ms: one 10 ms step slips and penetrates about five times more
        use_cuda_graph=True,
        solver_cfg=CpuGraphMJWarpSolverCfg(
            solver="newton",
            integrator="implicitfast",
            # Elliptic cones slip as little without the high friction, but cost 4-7 times as much on the CPU.
            cone="pyramidal",
            impratio=10.0,
            njmax=njmax,
            nconmax=nconmax,
        ),
    )


@configclass
class ManipulationPhysicsCfg(PresetCfg):
    """Contact-rich manipulation at a control tick of 0.1 s."""

    newton_mjwarp: NewtonCfg = newton_cfg(njmax=80, nconmax=24)
    ovphysx: OvPhysxSubstepCfg = OvPhysxSubstepCfg(num_substeps=10)  # 10 ms
    default: NewtonCfg = newton_mjwarp
