# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A Franka arm and its hand through franky, which plans at 1 kHz (Ruckig) what it is told at the policy's rate.

After an error nothing is commanded until :meth:`FrankaArm.recover` has succeeded, whoever asks for it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np

from flow_rl.deploy.observer import ArmState
from flow_rl.utils.check import require, require_package

from .gripper import Fingers
from .settings import FrankaCfg

TOOL_TOLERANCE = 1e-3
"""Greatest difference between the tool that a policy knows and the one that is set at the robot [m]."""

RECOVERY_TIME = 5.0
"""How long a robot may take to be without errors [s]."""

HAND_YAW = -np.pi / 4
"""Turn of the hand about the flange's axis [rad]."""


class RobotError(RuntimeError):
    """The robot has stopped, or cannot be reached."""


class FrankaArm:
    """One arm with Franka's hand."""

    def __init__(
        self, host: str, cfg: FrankaCfg, *, realtime: bool = True, clock: Callable[[], float] = time.monotonic
    ):
        """Connect to a robot, and set its limits.

        Args:
            host: Address of the robot.
            cfg: Its limits.
            realtime: Whether to refuse a computer without a real-time kernel; without one, motions may stutter.
            clock: Present time [s], for stamps.

        Raises:
            InputError: franky is not installed.
            RobotError: The robot cannot be reached, or speaks another version of the protocol.
        """
        self._franky = require_package("franky", "franky-control", "franka")
        self._cfg, self._clock = cfg, clock
        self._error: str | None = None
        self._fingers: Fingers | None = None
        config = self._franky.RealtimeConfig
        with self._errors():
            self._robot = self._franky.Robot(
                host,
                default_torque_threshold=cfg.max_torque,
                default_force_threshold=cfg.max_force,
                realtime_config=config.Enforce if realtime else config.Ignore,
            )
            self._limit()
            self._fingers = Fingers(self._franky.Gripper(host), cfg.gripper_speed, cfg.gripper_force)

    @property
    def error(self) -> str | None:
        """Why nothing is commanded."""
        return self._error

    def time(self) -> float:
        """Time since the robot was started [s], by its own clock."""
        with self._errors():
            return self._robot.state.time.to_sec()

    def read(self) -> ArmState:
        """Measure.

        Raises:
            RobotError: The arm or the hand has stopped since the last call, or cannot be reached.
        """
        with self._errors():
            self._robot.poll_motion()
            state, stamp = self._robot.state, self._clock()
            if self._robot.has_errors:
                raise RobotError(f"the robot is in mode {state.robot_mode.name}: {state.current_errors}")
            self._fingers.check()
            pose, twist = state.O_T_EE, state.O_dP_EE_est or state.O_dP_EE_d
            return ArmState(
                position=pose.translation.copy(),
                quaternion=pose.quaternion.copy(),
                velocity=np.concatenate((twist.linear, twist.angular)),
                joints=state.q.copy(),
                width=self._fingers.width,
                force=np.array(state.O_F_ext_hat_K[:3]),
                stamp=stamp,
            )

    def check_tool(self, tool: tuple[float, ...]) -> None:
        """Raise an InputError unless the robot's end effector is where a policy believes its tool (3,) to be [m]."""
        flange = self._robot.state.F_T_EE
        turn = np.array([[np.cos(HAND_YAW), -np.sin(HAND_YAW)], [np.sin(HAND_YAW), np.cos(HAND_YAW)]])
        near = np.abs(flange.translation - np.array(tool)).max() < TOOL_TOLERANCE
        aligned = np.abs(flange.matrix[:2, :2] - turn).max() < 0.01
        require(
            bool(near and aligned),
            "end effector",
            np.round(flange.matrix[:3], 4).tolist(),
            f"the point {tool} m from the flange, turned by -45 degrees, as with Franka's hand",
            "set it in Desk under End Effector.",
        )

    def forward(self, joints: np.ndarray) -> np.ndarray:
        """Where the tool is with joints (7,) [rad], shape (3,) [m]."""
        state = self._robot.state
        frame = self._franky.Frame.EndEffector
        return self._robot.model.pose(frame, joints, state.F_T_EE, state.EE_T_K).translation

    def move_tool(self, position: np.ndarray, quaternion: np.ndarray, seconds: float) -> None:
        """Lead the tool to a pose in the frame of the base within the limits, in no less than some time, and return."""
        franky = self._franky
        pose = franky.Affine(position, quaternion)
        waypoint = franky.CartesianWaypoint(pose, minimum_time=franky.Duration(round(1e3 * seconds)))
        self._move(franky.CartesianWaypointMotion([waypoint], return_when_finished=False))

    def move_joints(self, joints: np.ndarray, seconds: float, wait: bool = False) -> None:
        """Lead the joints to positions (7,) [rad] within the limits; return at once, or ``wait`` for the end."""
        franky = self._franky
        waypoint = franky.JointWaypoint(joints, minimum_time=franky.Duration(round(1e3 * seconds)))
        self._move(franky.JointWaypointMotion([waypoint], return_when_finished=wait), wait)

    def set_fingers(self, is_open: bool) -> None:
        """Open the fingers, or close them around what is between them; what they do now is ended first."""
        with self._errors(commands=True):
            self._fingers.want(is_open)

    def home_fingers(self) -> None:
        """Let the hand find its widest opening; wait."""
        with self._errors(commands=True):
            self._fingers.home()

    def brake(self) -> None:
        """Stop the arm within its limits; the fingers stay as they are."""
        franky = self._franky
        with self._errors(commands=True):
            stops = {
                franky.ControlSignalType.CartesianPose: franky.CartesianStopMotion,
                franky.ControlSignalType.JointPositions: franky.JointStopMotion,
            }
            kind = self._robot.current_control_signal_type
            if self._robot.is_in_control and kind in stops:
                self._robot.move(stops[kind](), asynchronous=True)

    def recover(self) -> bool:
        """Leave errors behind, and let the arm be commanded again; false if the robot wants more than that."""
        with self._errors():
            with contextlib.suppress(self._franky.ControlException):
                self._robot.join_motion()  # the motion that failed; its error is known
            try:
                recovered = self._robot.recover_from_errors()
            except self._franky.CommandException:
                return False
            end = time.monotonic() + RECOVERY_TIME
            while self._robot.has_errors and time.monotonic() < end:
                time.sleep(0.01)  # until a state arrives that is younger than the recovery
            if not recovered or self._robot.has_errors:
                return False
        self._error = None
        return True

    def close(self) -> None:
        """Let the fingers end what they do."""
        self._fingers.close()

    def _move(self, motion: object, wait: bool = False) -> None:
        with self._errors(commands=True):
            self._robot.move(motion, asynchronous=not wait)

    def _limit(self) -> None:
        robot, cfg = self._robot, self._cfg
        for limit, value in (
            (robot.translation_velocity_limit, cfg.max_speed),
            (robot.translation_acceleration_limit, cfg.max_acceleration),
            (robot.rotation_velocity_limit, cfg.max_turn_speed),
        ):
            limit.set(min(value, limit.max))
        # jerk and angular acceleration follow: 20 ms to full acceleration, a quarter of a second to full speed
        robot.translation_jerk_limit.set(min(50.0 * cfg.max_acceleration, robot.translation_jerk_limit.max))
        robot.rotation_acceleration_limit.set(min(4.0 * cfg.max_turn_speed, robot.rotation_acceleration_limit.max))
        robot.rotation_jerk_limit.set(min(200.0 * cfg.max_turn_speed, robot.rotation_jerk_limit.max))
        robot.joint_velocity_limit.set(np.minimum(cfg.max_joint_speed, robot.joint_velocity_limit.max))
        robot.joint_acceleration_limit.set(np.minimum(4.0 * cfg.max_joint_speed, robot.joint_acceleration_limit.max))
        robot.joint_jerk_limit.set(np.minimum(200.0 * cfg.max_joint_speed, robot.joint_jerk_limit.max))

    @contextlib.contextmanager
    def _errors(self, commands: bool = False) -> Iterator[None]:
        """Translate what goes wrong, remember it, and refuse commands after it."""
        if commands and self._error is not None:
            raise RobotError(f"nothing is commanded after an error: {self._error}")
        franky = self._franky
        kinds = (franky.Exception, franky.GripperException)
        try:
            yield
        except (*kinds, RuntimeError) as error:  # the latter for what libfranka's network library says
            self._error = " ".join(str(error).split())
            if self._fingers is not None:
                self._fingers.forget()
            raise RobotError(self._error) from error
