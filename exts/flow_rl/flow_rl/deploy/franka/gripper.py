# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Franka's hand, whose commands take as long as its motions: a thread waits for them."""

from __future__ import annotations

import threading
from typing import Any


class Fingers:
    """Opens and closes. A command is sent when the former one has ended; of several that wait, the last counts.

    None is broken off: a hand that is stopped lets go of what it holds.
    """

    def __init__(self, gripper: Any, speed: float, force: float):
        """Take a connected ``franky.Gripper``, the speed of its fingers [m/s] and the force of its grasp [N]."""
        self._gripper, self._speed, self._force = gripper, speed, force
        self._wanted: bool | None = None
        self._sent: bool | None = None
        self._error: Exception | None = None
        self._change, self._end, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def width(self) -> float:
        """Distance between the fingers [m]."""
        return self._gripper.width

    def check(self) -> None:
        """Raise what has gone wrong with the last command."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def want(self, is_open: bool) -> None:
        """Open or close as soon as possible; saying so again changes nothing."""
        with self._lock:
            self._wanted = is_open
        self._change.set()

    def forget(self) -> None:
        """Send nothing that waits for the present command to end."""
        with self._lock:
            self._wanted = self._sent

    def home(self) -> None:
        """Find the widest opening; wait."""
        self._gripper.homing()

    def close(self) -> None:
        """Wait for the present command, and send no other."""
        self._end.set()
        self._change.set()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        while not self._end.is_set():
            self._change.wait()
            self._change.clear()
            while (wanted := self._next()) is not None:
                try:
                    self._command(wanted)
                except Exception as error:  # it is raised where somebody looks
                    self._error = error
                    self.forget()

    def _next(self) -> bool | None:
        """What is to be sent now."""
        with self._lock:
            if self._end.is_set() or self._wanted == self._sent:
                return None
            self._sent = self._wanted
            return self._sent

    def _command(self, is_open: bool) -> None:
        widest = self._gripper.max_width
        if is_open:
            self._gripper.move(widest, self._speed)
        else:
            # whatever is between the fingers, from nothing to as wide as they go
            self._gripper.grasp(0.0, self._speed, self._force, epsilon_inner=widest, epsilon_outer=widest)
