# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Mechanisms: fixed articulations whose links each turn or slide on one joint, such as doors, knobs and switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Literal

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg
from isaaclab.sim.schemas import UsdPhysicsDriveCfg
from isaaclab.utils import configclass
from isaaclab_newton.sim.schemas import NewtonArticulationCfg
from isaaclab_physx.sim.schemas import PhysxArticulationCfg, PhysxRigidBodyCfg

from .franka import SOLVER_ITERATIONS
from .parts import PartSpawnerCfg
from .shapes import Shape, Vector

AXES: dict[str, Vector] = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


@dataclass
class Link:
    """A body on one joint; both begin at ``pos`` with the axes of the mechanism."""

    joint: Literal["hinge", "slide"]
    axis: Literal["X", "Y", "Z"]
    pos: Vector
    """Where the axis is, in the frame of the mechanism [m]."""

    limits: tuple[float, float]
    """Range of the joint [rad or m]; it begins at 0."""

    shapes: tuple[Shape, ...]
    """Shapes in the frame of the link."""

    mass: float
    """Mass [kg]."""

    colour: Vector
    friction: float
    """Torque or force below which the joint stays at rest [N m or N]."""

    damping: float
    """Damping of the joint [N m s/rad or N s/m]."""

    detents: tuple[float, ...] = ()
    """Positions to which the joint is drawn [rad or m]."""

    stiffness: float = 0.0
    """Stiffness of the pull towards the nearest detent [N m/rad or N/m]."""

    def __post_init__(self):
        """Refuse what cannot be built; raises a ValueError."""
        if self.joint not in ("hinge", "slide"):
            raise ValueError(f"joint={self.joint!r} is not a joint of a link. Valid: 'hinge', 'slide'.")
        if self.axis not in AXES:
            raise ValueError(f"axis={self.axis!r} is not an axis of a link. Valid: {', '.join(map(repr, AXES))}.")
        low, high = self.limits
        if not (low <= 0.0 <= high and low < high):
            raise ValueError(
                f"limits={self.limits} do not contain the position 0, at which a link begins: choose low <= 0 <= high."
            )
        outside = [detent for detent in self.detents if not low <= detent <= high]
        if outside:
            raise ValueError(
                f"detents={self.detents}: {outside} lie outside of limits={self.limits}; move them inside."
            )


@configclass
class MechanismSpawnerCfg(PartSpawnerCfg):
    """Spawner of a mechanism that is fixed to the world."""

    func = "{DIR}.spawn:spawn_mechanism"

    shapes: tuple[Shape, ...] = ()
    """Shapes of the fixed base; it may have none."""

    links: dict[str, Link] = MISSING
    """Links by the names of their joints."""

    visual_material = sim_utils.PreviewSurfaceCfg(diffuse_color=(0.6, 0.6, 0.6))
    rigid_props = [sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(**SOLVER_ITERATIONS)]
    articulation_props: list = [
        NewtonArticulationCfg(self_collision_enabled=False),
        PhysxArticulationCfg(enabled_self_collisions=False, **SOLVER_ITERATIONS),
    ]
    # PhysX only drives joints that have a drive in USD; the actuators set the gains.
    joint_drive_props: list = [UsdPhysicsDriveCfg(drive_type="force", stiffness=0.0, damping=0.1)]


def mechanism_cfg(name: str, links: Mapping[str, Link]) -> ArticulationCfg:
    """Asset of a mechanism at the origin of the environment."""
    return ArticulationCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        spawn=MechanismSpawnerCfg(links=dict(links)),
        init_state=ArticulationCfg.InitialStateCfg(joint_pos=dict.fromkeys(links, 0.0)),
        actuators={
            joint: ImplicitActuatorCfg(
                joint_names_expr=[joint],
                stiffness=link.stiffness,
                damping=link.damping,
                friction=link.friction,
                armature=1e-3,
            )
            for joint, link in links.items()
        },
        soft_joint_pos_limit_factor=1.0,
    )
