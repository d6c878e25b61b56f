# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a Franka may do, and how careful its driver is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from flow_rl.utils.check import require


def setting(default: Any, text: str) -> Any:
    """A field with its meaning, which the command line shows."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class FrankaCfg:
    """Limits of the robot. The defaults suit first moves at a table; none is wider than what the arm can do."""

    workspace_lower: tuple[float, float, float] = setting(
        (0.25, -0.40, 0.005), "least x, y, z that the tool is sent to, in the frame of the robot's base [m]"
    )
    workspace_upper: tuple[float, float, float] = setting(
        (0.75, 0.40, 0.60), "greatest x, y, z that the tool is sent to, in the frame of the robot's base [m]"
    )
    workspace_margin: float = setting(0.03, "how far the tool may get out of the workspace before the run ends [m]")
    max_speed: float = setting(0.25, "greatest speed of the tool along each axis of the base [m/s]")
    max_acceleration: float = setting(3.0, "greatest acceleration of the tool along each axis [m/s^2]")
    max_turn_speed: float = setting(1.0, "greatest angular speed of the hand about each axis [rad/s]")
    max_joint_speed: float = setting(0.7, "greatest speed of a joint, where actions move joints [rad/s]")
    max_force: float = setting(20.0, "force on the tool at which the robot stops by reflex, and the run ends [N]")
    max_torque: float = setting(20.0, "external torque at a joint at which the robot stops by reflex [Nm]")
    gripper_speed: float = setting(0.05, "speed of the fingers [m/s]")
    gripper_force: float = setting(20.0, "force with which the fingers hold [N]")
    stretch: float = setting(
        1.5, "control steps that the arm takes to a target, which the next one replaces on the way: less is more abrupt"
    )
    deadband: float = setting(0.0005, "motions shorter than this [m], and than ten times as much [rad], are left out")
    max_age: float = setting(0.2, "age of an observation beyond which the arm is held [s]")
    max_late: float = setting(0.3, "lateness of a control step beyond which the run ends [s]")
    patience: float = setting(2.0, "how long the arm is held, for whatever reason, before the run ends [s]")
    max_recoveries: int = setting(3, "reflexes in a run that are recovered from")

    def __post_init__(self):
        """Refuse what cannot be."""
        for item in fields(self):
            value = getattr(self, item.name)
            numbers = np.array(value, dtype=np.float64)
            finite = bool(np.isfinite(numbers).all())
            require(finite, item.name, value, item.metadata["help"], "give finite numbers.")
            if item.name not in ("workspace_lower", "workspace_upper"):
                lowest = 0.0 if item.name in ("max_recoveries", "deadband") else 1e-6
                require(value >= lowest, item.name, value, item.metadata["help"], "give a number above 0.")
        inside = np.less(self.workspace_lower, self.workspace_upper).all()
        valid = f"less than workspace_upper = {self.workspace_upper}"
        require(bool(inside), "workspace_lower", self.workspace_lower, valid, "give the corners of a box.")
        require(self.stretch >= 1.0, "stretch", self.stretch, "1 or more control steps", "use 1.5, the default.")

    def inside(self, position: np.ndarray) -> np.ndarray:
        """The point of the workspace that is nearest to a position (3,) [m]."""
        return np.clip(position, self.workspace_lower, self.workspace_upper)

    def outside(self, position: np.ndarray) -> float:
        """How far a position (3,) is from the workspace [m]."""
        return float(np.linalg.norm(position - self.inside(position)))
