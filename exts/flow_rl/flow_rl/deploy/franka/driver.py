# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The loop between a policy and a Franka: looks, decides, bounds, commands; stops when in doubt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from flow_rl.deploy import rotations
from flow_rl.deploy.commander import Commander, Target
from flow_rl.deploy.objects import Objects
from flow_rl.deploy.observer import ArmState, Observer
from flow_rl.deploy.runner import PolicyRunner
from flow_rl.utils.check import require

from .arm import RobotError
from .settings import FrankaCfg


class Arm(Protocol):
    """What a driver asks of a robot; see :class:`flow_rl.deploy.franka.arm.FrankaArm`."""

    def read(self) -> ArmState: ...  # noqa: D102
    def forward(self, joints: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def move_tool(self, position: np.ndarray, quaternion: np.ndarray, seconds: float) -> None: ...  # noqa: D102
    def move_joints(self, joints: np.ndarray, seconds: float) -> None: ...  # noqa: D102
    def set_fingers(self, is_open: bool) -> None: ...  # noqa: D102
    def brake(self) -> None: ...  # noqa: D102
    def recover(self) -> bool: ...  # noqa: D102


class Stop(Exception):
    """The run ends here, for the reason in words."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    reason: str
    """Why it ended."""

    steps: int
    """Control steps."""

    held: int
    """Control steps in which the arm was held."""

    recoveries: int
    """Reflexes that were recovered from."""

    period_p50: float
    """Median of the time between control steps [s]."""

    period_p99: float
    """Of a hundred times between control steps, the longest but one [s]."""


class FrankaDriver:
    """Runs a policy on an arm."""

    def __init__(
        self,
        arm: Arm,
        runner: PolicyRunner,
        objects: Objects,
        cfg: FrankaCfg,
        *,
        sources: Mapping[str, Callable[[], tuple[Any, float]]] | None = None,
        confirm: Callable[[str], bool] = lambda question: input(f"{question} Type yes: ").strip() == "yes",
        report: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        dry_run: bool = False,
    ):
        """Create a driver.

        Args:
            arm: The robot.
            runner: The policy.
            objects: Where objects are.
            cfg: Limits.
            sources: Other observations, such as cameras' pictures: value and stamp [s] by name.
            confirm: Asks the person at the robot; nothing moves, nor goes on after a reflex, before it says yes.
            report: Takes lines for the person at the robot.
            clock: Present time [s]; that of all stamps.
            sleep: Waits so many seconds.
            dry_run: Whether to report what would be commanded, and to command nothing.
        """
        contract = runner.package.contract
        self.arm, self.runner, self.cfg = arm, runner, cfg
        self.observer, self.commander = Observer(contract, tuple(sources or ())), Commander(contract)
        self._objects, self._sources = objects, dict(sources or {})
        self.confirm, self._report, self._clock, self._sleep = confirm, report, clock, sleep
        self._dry_run, self._period = dry_run, runner.package.period
        self._actions: deque[np.ndarray] = deque()
        self._held: str | None = None
        self._held_since = 0.0
        self._steps = self._num_held = self._recoveries = 0

    def run(self, duration: float) -> Outcome:
        """Let the policy act for some time [s], or until something is wrong; then the arm is braked.

        Raises:
            InputError: The arm does not stand within the workspace.
            RobotError: The robot has an error before anything was commanded.
        """
        state = self.arm.read()
        far = self.cfg.outside(state.position)
        box = f"between {self.cfg.workspace_lower} and {self.cfg.workspace_upper} m"
        remedy = "lead the arm there by hand, or widen the workspace."
        require(far == 0.0, "tool", np.round(state.position, 3).tolist(), box, remedy)
        task = self.runner.package.contract["task"]
        speed = f"{self.cfg.max_speed} m/s along each axis"
        question = f"{task} will move the tool within {box}, at up to {speed}, for {duration:g} s."
        if not (self._dry_run or self.confirm(question)):
            return self._outcome("not confirmed", [])
        self._begin(state)
        starts: list[float] = []
        try:
            reason = self._loop(duration, starts)
        except (Stop, KeyboardInterrupt) as stop:
            reason = str(stop) or "stopped by the keyboard"
            self._brake()
        except RobotError as error:
            reason = str(error)  # the robot has stopped by itself, and nothing more is commanded
        except BaseException:
            self._brake()
            raise
        return self._outcome(reason, starts)

    def _loop(self, duration: float, starts: list[float]) -> str:
        """Act step by step, and note when each began [s]."""
        begin = due = self._clock()
        while due - begin < duration - 1e-9:
            self._wait(due)
            starts.append(self._clock())
            try:
                self._step(starts[-1])
            except RobotError as error:
                self._recover(error)
                starts.clear()  # times between steps are counted from here
                due = self._clock()
                continue
            late = self._clock() - due - self._period
            if late > self.cfg.max_late:
                raise Stop(f"a control step ended {late:.2f} s late: this computer is too busy")
            # after a late step the next ones keep their distance, rather than to catch up
            due += self._period + max(0.0, late + 0.5 * self._period)
        self._brake()
        return "time is over"

    def _step(self, now: float) -> None:
        """One control step."""
        state = self.arm.read()
        self._check(state)
        if not self._actions:
            values, stamps = self.observer(state, self._objects())
            for name, source in self._sources.items():
                values[name], stamps[name] = source()
            chunk = self.runner.act(values, stamps, self._clock())
            self._actions.extend(chunk.actions)
            self._note_hold(chunk.reason, now)
        action = self._actions.popleft()
        self._steps += 1
        if self._held is not None:
            self._num_held += 1
            self._brake()
        else:
            self._command(self.commander.target(action, state), state)

    def _check(self, state: ArmState) -> None:
        """Raise a Stop where the arm is not as it should be."""
        force = float(np.linalg.norm(state.force))
        if not force <= self.cfg.max_force:
            raise Stop(f"the tool feels a force of {force:.1f} N, more than {self.cfg.max_force:g} N")
        far = self.cfg.outside(state.position)
        if not far <= self.cfg.workspace_margin:
            raise Stop(f"the tool is {far:.3f} m outside of the workspace, at {np.round(state.position, 3).tolist()} m")

    def _note_hold(self, reason: str | None, now: float) -> None:
        """Report a new reason to hold the arm, and end the run if there has been one for too long."""
        if reason is not None and self._held is None:
            self._held_since = now
        if reason != self._held:
            self._report(f"held: {reason}" if reason else "goes on")
        self._held = reason
        if reason is not None and now - self._held_since >= self.cfg.patience:
            raise Stop(f"held for {self.cfg.patience:g} s: {reason}")

    def _command(self, target: Target, state: ArmState) -> None:
        """Command what is within the limits."""
        seconds = self.cfg.stretch * self._period
        if target.joints is not None:
            if self.cfg.outside(place := self.arm.forward(target.joints)) > 0.0:
                raise Stop(f"the policy leads the tool out of the workspace, to {np.round(place, 3).tolist()} m")
            text, move = f"joints {np.round(target.joints, 3).tolist()}", (self.arm.move_joints, target.joints)
        else:
            pos = self.cfg.inside(target.position)
            if not np.isfinite(np.concatenate((pos, target.quaternion))).all():
                raise Stop(f"the policy asks for a pose that is none: {pos.tolist()}, {target.quaternion.tolist()}")
            text = f"tool {np.round(pos, 4).tolist()} m, {np.round(target.quaternion, 4).tolist()}"
            turn = rotations.to_vector(rotations.multiply(target.quaternion, rotations.inverse(state.quaternion)))
            still = np.linalg.norm(pos - state.position) < self.cfg.deadband
            still = still and np.linalg.norm(turn) < 10.0 * self.cfg.deadband
            move = None if still else (self.arm.move_tool, pos, target.quaternion)
        if self._dry_run:
            self._report(f"{self._steps}: would lead to {text}, fingers {'open' if target.is_open else 'closed'}")
            return
        if move is not None:
            move[0](*move[1:], seconds)
        if target.is_open is not None:
            self.arm.set_fingers(target.is_open)

    def _recover(self, error: RobotError) -> None:
        """Go on after a reflex if the person and the robot agree; else raise the error again."""
        self._report(f"the robot has stopped: {error}")
        if self._dry_run or self._recoveries >= self.cfg.max_recoveries:
            raise error
        if not self.confirm("Free the arm from what it touched. It will be recovered, and go on."):
            raise error
        if not self.arm.recover():
            raise RobotError(f"{error}; it does not recover: look at Desk") from error
        self._recoveries += 1
        state = self.arm.read()
        self._check(state)
        self._begin(state)

    def _begin(self, state: ArmState) -> None:
        """Begin from where the arm is."""
        self.runner.reset(self.commander.start(state))
        self._actions.clear()
        self._held = None

    def _brake(self) -> None:
        if not self._dry_run:
            self.arm.brake()

    def _wait(self, due: float) -> None:
        while (left := due - self._clock()) > 1e-6:
            self._sleep(left)

    def _outcome(self, reason: str, starts: list[float]) -> Outcome:
        periods = np.diff(starts) if len(starts) > 1 else np.array([np.nan])
        p50, p99 = (float(np.percentile(periods, share)) for share in (50, 99))
        return Outcome(reason, self._steps, self._num_held, self._recoveries, p50, p99)
