# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Between a robot's messages and a policy: keeps what was measured last, and hands out one action per control step.

Written against plain callables, so that any middleware fits. With ROS 2::

    loop = ControlLoop(PolicyRunner("package"), execute=lambda action: publisher.publish(to_message(action)))
    for topic in (
        Topic("/joint_states", "robot_qpos", lambda message: message.position),
        Topic("/kettle/pose", "kettle", to_seven_numbers, lambda message: to_monotonic(message.header.stamp)),
    ):
        node.create_subscription(types[topic.name], topic.name, loop.callback(topic), qos_profile_sensor_data)
    node.create_timer(loop.runner.package.period, loop.tick)
    rclpy.spin(node)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow_rl.utils.check import require_choice

from .runner import Chunk, PolicyRunner


@dataclass(frozen=True)
class Topic:
    """Where an observation comes from."""

    name: str
    """Name of the topic."""

    observation: str
    """Name of the observation or camera in the policy's contract."""

    convert: Callable[[Any], Any] = lambda message: message
    """Makes the observation of a message."""

    stamp: Callable[[Any], float] | None = None
    """Reads from a message when it was measured [s], on the loop's clock; None for the time of its arrival."""


class ControlLoop:
    """Drives one robot: call :meth:`tick` once per control step. Messages may arrive in other threads."""

    def __init__(
        self,
        runner: PolicyRunner,
        execute: Callable[[np.ndarray], None],
        on_hold: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Create a loop.

        Args:
            runner: The policy.
            execute: Sends an action (A,) to the robot.
            on_hold: Is told why the robot is held, once per reason.
            clock: Present time [s].
        """
        self.runner = runner
        self._execute, self._on_hold, self._clock = execute, on_hold, clock
        self._names = (*(term["name"] for term in runner.package.observations), *runner.package.cameras)
        self._sources: dict[str, Callable[[], tuple[Any, float]]] = {}
        self._values: dict[str, Any] = {}
        self._stamps: dict[str, float] = {}
        self._actions: deque[np.ndarray] = deque()
        self._reason: str | None = None
        self._thinks: Future[Chunk] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy")
        self._lock = threading.Lock()

    def observe(self, name: str, value: Any, stamp: float | None = None) -> None:
        """Take a new value of an observation, measured at ``stamp`` [s]; None for now."""
        require_choice("observation", name, self._names)
        with self._lock:
            self._values[name], self._stamps[name] = value, self._clock() if stamp is None else stamp

    def callback(self, topic: Topic) -> Callable[[Any], None]:
        """What a subscription to a topic calls with each message."""
        require_choice("observation", topic.observation, self._names)
        return lambda message: self.observe(
            topic.observation, topic.convert(message), topic.stamp and topic.stamp(message)
        )

    def poll(self, name: str, source: Callable[[], tuple[Any, float]]) -> None:
        """Ask a source for value and stamp whenever the policy looks, such as :meth:`.video.VideoCamera.newest`."""
        require_choice("observation", name, self._names)
        self._sources[name] = source

    def tick(self, now: float | None = None) -> None:
        """Execute the next action.

        New ones are planned where none is left, or, if the runner has an inference delay, in another thread as soon as
        no more are left than that; a plan that comes later is waited for.
        """
        delay = self.runner.inference_delay
        if self._thinks is None and len(self._actions) <= delay:
            for name, source in self._sources.items():
                self.observe(name, *source())
            with self._lock:
                seen = dict(self._values), dict(self._stamps), self._clock() if now is None else now
            if self._actions:
                self._thinks = self._thread.submit(self.runner.act, *seen)
            else:
                self._take(self.runner.act(*seen))
        if self._thinks is not None and (not self._actions or self._thinks.done()):
            thought, self._thinks = self._thinks, None
            self._take(thought.result())
        self._execute(self._actions.popleft())

    def _take(self, chunk: Chunk) -> None:
        """Let actions follow those that are left, or take their place where they hold the robot."""
        if chunk.is_held:
            self._actions.clear()
        self._actions.extend(chunk.actions)
        if chunk.is_held and chunk.reason != self._reason and self._on_hold is not None:
            self._on_hold(chunk.reason)
        self._reason = chunk.reason
