# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runs an exported policy on a robot: checks what it is told, bounds what it answers, and holds when in doubt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.utils.check import require, require_choice

from .chunking import Chunking
from .package import LAST_ACTIONS, LATENCY, PolicyPackage

NOISES = ("random", "zero")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Actions for the robot, in the units of the package's contract."""

    times: np.ndarray
    """When each action begins, shape (N,) [s], on the clock of ``now``."""

    actions: np.ndarray
    """Actions (N, A)."""

    reason: str | None = None
    """Why these actions hold the robot instead of coming from the policy."""

    @property
    def is_held(self) -> bool:
        """Whether the robot is held."""
        return self.reason is not None


class PolicyRunner:
    """One robot's policy: named observations in, time-stamped actions out.

    Each call of :meth:`act` plans a chunk and returns its first ``execute`` actions (receding horizon). Whatever is
    missing, misshapen, not finite or too old makes it return one action that holds the robot, and the reason. All
    actions stay within the limits, and change within the rates, of the contract.

    Where planning takes long, the robot goes on meanwhile (``inference_delay`` d): call :meth:`act` when d of the
    actions that it has returned are still to be executed, let them be executed while it plans, and append what it
    returns; the first answer of an episode, and the first one after a hold, has d actions more. An answer that holds
    comes in their place.
    """

    def __init__(
        self,
        package: PolicyPackage | str | Path,
        *,
        execute: int | None = None,
        inference_delay: int = 0,
        chunking: str = "naive",
        ensemble: float | None = None,
        noise: str | None = None,
        action_latency: int | None = None,
        seed: int = 0,
        max_age: float = 0.5,
        max_change: float | np.ndarray | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Create a runner.

        Args:
            package: What flow-rl export wrote, or its folder.
            execute: Number of actions that are executed before the next plan; None for all of a chunk, as in training,
                but those that are needed while the next one is made.
            inference_delay: Control steps that planning takes.
            chunking: How a chunk joins the former one, "naive" or "inpainting"; see :mod:`.chunking`.
            ensemble: None to execute the newest plan; else actions are means over all plans for their time with weights
                exp(-ensemble * i), i counting from the oldest (ACT, arXiv 2304.13705). Needs ``execute`` below H.
            noise: Where the flow starts, "random" or "zero"; None for what the contract says.
            action_latency: Control steps by which this robot executes actions late, for a contract with observations
                ``last_actions`` and ``latency``: the runner, which knows what it has sent, fills them in. None if the
                caller gives them, or the contract has none.
            seed: Seed of the random noise; the same on every platform.
            max_age: Greatest age of an observation [s].
            max_change: Greatest change of an action from one control step to the next, a number or shape (A,). It can
                only tighten that of the contract.
            clock: Present time [s], where a call does not say it.
        """
        self.package = package if isinstance(package, PolicyPackage) else PolicyPackage(package)
        horizon, size = self.package.chunk_shape
        actions = self.package.contract["actions"]
        self._chunking = Chunking(horizon, execute, inference_delay, chunking)
        can = chunking == "naive" or (chunking == "inpainting" and self.package.can_join)
        valid = "naive, or inpainting if the network has inputs for it: it gives no gradient"
        require(can, "chunking", chunking, valid, "choose one of these; older packages are to be exported again.")
        self._execute = self._chunking.execute
        plain = inference_delay == 0 and not self._chunking.joins
        blend = ensemble is None or (ensemble >= 0.0 and self._execute < horizon and plain)
        valid = f"None, or a number >= 0 together with execute < {horizon}, without inference_delay and inpainting"
        require(blend, "ensemble", ensemble, valid, "plan again before a chunk ends, for instance with execute=1.")
        self._noise = noise or self.package.contract["sampler"]["noise"]["start"]
        require_choice("noise", self._noise, NOISES)
        most = self.package.max_latency
        valid = "None: the policy does not observe latency" if most is None else f"0 to {most}, as in training"
        known = action_latency is None or (most is not None and 0 <= action_latency <= most)
        remedy = "leave it out, or export a policy that was trained under such latency."
        require(known, "action_latency", action_latency, valid, remedy)
        self._latency, self._max_latency = action_latency, most or 0
        self._sent = np.zeros((self._max_latency + inference_delay + 1, size))  # the newest first
        require(max_age > 0.0, "max_age", max_age, "seconds > 0", "use 0.5, the default.")
        changes = [np.full(size, np.inf)] + [
            np.broadcast_to(np.asarray(change, dtype=np.float64), size)
            for change in (actions["max_change"], max_change)
            if change is not None
        ]
        self._max_change = np.min(changes, axis=0)
        require(
            bool((self._max_change > 0).all()), "max_change", max_change, "numbers > 0", "leave it out for no bound."
        )
        self._lower, self._upper = np.array(actions["lower"]), np.array(actions["upper"])
        self._keeps = np.concatenate([np.full(term["size"], term["hold"] == "last") for term in actions["terms"]])
        self._ensemble, self._max_age, self._clock, self._seed = ensemble, max_age, clock, seed
        self._shapes = {term["name"]: tuple(term["shape"]) for term in self.package.observations}
        self._durations: deque[float] = deque(maxlen=10_000)
        self._started = False
        if actions["start"] is not None:
            self.reset()

    @property
    def inference_delay(self) -> int:
        """Control steps that planning takes."""
        return self._chunking.delay

    def reset(self, start: np.ndarray | None = None, seed: int | None = None) -> None:
        """Begin an episode.

        Args:
            start: Action (A,) that keeps the robot where it is; changes are counted from it. By default the contract's,
                which has none where actions are absolute poses.
            seed: Seed of the noise from here on; by default noise goes on, and begins with the runner's seed.
        """
        if start is None:
            start = self.package.contract["actions"]["start"]
        remedy = "pass the action that keeps the robot where it is: the contract's actions are absolute."
        size = self.package.chunk_shape[1]
        fits = start is not None and np.shape(start) == (size,) and bool(np.isfinite(start).all())
        require(fits, "start", start, f"{size} finite numbers", remedy)
        if seed is not None or not self._started:
            self._generator = np.random.Generator(np.random.PCG64(self._seed if seed is None else seed))
        self._last = np.clip(np.asarray(start, dtype=np.float64), self._lower, self._upper)
        self._sent[:] = 0.0
        self._forget()
        self._step = 0
        self._plans: list[tuple[int, np.ndarray]] = []
        self._started = True

    def act(
        self,
        observations: Mapping[str, Any],
        stamp: float | Mapping[str, float] | None = None,
        now: float | None = None,
    ) -> Chunk:
        """Return the next actions.

        Args:
            observations: Every term of the contract under its name, and every camera's picture (3, H, W) of bytes. With
                an ``action_latency``, actions under way need not be among them: they are those that were last returned.
            stamp: When they were measured [s], all or each by its name; None for now.
            now: Present time [s]; by default the clock's.
        """
        begin = time.perf_counter()
        require(self._started, "PolicyRunner", "not started", "a runner after reset(start)", "call reset(start) first.")
        now = self._clock() if now is None else now
        if self._latency is not None:
            own = self._own_observations()
            observations = own | dict(observations)
            stamp = dict.fromkeys(own, now) | dict(stamp) if isinstance(stamp, Mapping) else stamp
        reason = self._find_fault(observations, stamp, now)
        if reason is None:
            names = self._shapes
            vector = np.concatenate([np.asarray(observations[name], dtype=np.float32).ravel() for name in names])
            pictures = [observations[name][None] for name in self.package.cameras]
            joined = () if self._left is None else (self._left, self._chunking.weights())
            plan = self.package.infer(vector[None], pictures, self._draw(), *joined)[0].astype(np.float64)
            if not np.isfinite(plan).all():
                reason = "the policy's actions are not finite"
        chunk = self._follow(plan, now) if reason is None else self._hold(reason, now)
        self._durations.append(time.perf_counter() - begin)
        return chunk

    def latency(self) -> dict[str, float]:
        """Number of the calls of :meth:`act`, at most the last 10,000, and the times that they took [ms]."""
        times = 1e3 * np.array(self._durations or [np.nan])
        return {
            "calls": len(self._durations),
            "p50_ms": float(np.percentile(times, 50)),
            "p99_ms": float(np.percentile(times, 99)),
        }

    def _own_observations(self) -> dict[str, np.ndarray]:
        """Latency (1,), and the actions under way (max_latency * A,), the newest first."""
        late = np.arange(self._max_latency)[:, None] < self._latency
        sent = self._sent[self._pending :][: self._max_latency]
        return {LAST_ACTIONS: (sent * late).ravel(), LATENCY: np.array([self._latency])}

    def _find_fault(self, observations: Mapping[str, Any], stamp: Any, now: float) -> str | None:
        """What is wrong with observations, in words."""
        expected = [*self._shapes, *self.package.cameras]
        if extra := sorted(set(observations) - set(expected)):
            return f"unknown observation {extra[0]!r}; the contract has {', '.join(expected)}"
        for name in expected:
            is_camera = name in self.package.cameras
            kind = "camera" if is_camera else "observation"
            value = observations.get(name)
            if value is None:
                return f"{kind} {name!r} is missing"
            check = self._check_picture if is_camera else self._check_vector
            if fault := check(name, value):
                return f"{kind} {name!r} {fault}"
            measured = stamp.get(name) if isinstance(stamp, Mapping) else now if stamp is None else stamp
            if measured is None:
                return f"{kind} {name!r} has no time stamp"
            if measured > now + self._max_age:
                return f"{kind} {name!r} is more than {self._max_age} s ahead: clocks disagree"
            if not now - measured <= self._max_age:  # also for a stamp that is no number
                return f"{kind} {name!r} is more than {self._max_age} s old"
        return None

    def _check_vector(self, name: str, value: Any) -> str | None:
        try:
            value = np.asarray(value, dtype=np.float32)
        except (TypeError, ValueError):
            return "is no array of numbers"
        if value.shape != self._shapes[name]:
            return f"has shape {value.shape} instead of {self._shapes[name]}"
        return None if np.isfinite(value).all() else f"is not finite: {value.tolist()}"

    def _check_picture(self, name: str, value: Any) -> str | None:
        shape = self.package.cameras[name]
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape == shape:
            return None
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        return f"gave {found} instead of a picture, uint8 {shape}"

    def _draw(self) -> np.ndarray:
        """Noise for one chunk, shape (1, H * A)."""
        size = int(np.prod(self.package.chunk_shape))
        if self._noise == "zero":
            return np.zeros((1, size), dtype=np.float32)
        return self._generator.standard_normal((1, size)).astype(np.float32)

    def _follow(self, plan: np.ndarray, now: float) -> Chunk:
        """The first actions of a plan (H, A), blended with earlier plans if asked for."""
        if self._ensemble is not None:
            self._plans = [(step, old) for step, old in self._plans if step + len(old) > self._step]
            self._plans.append((self._step, plan))
            return self._bound(np.asarray([self._blend(self._step + i) for i in range(self._execute)]), now)
        delay, end = self._chunking.delay, self._execute + self._chunking.delay
        chunk = self._bound(plan[self._pending : end], now)
        self._pending = delay
        if self._chunking.joins:
            certain = chunk.actions[len(chunk.actions) - delay :]
            intended = np.clip(plan[end:], self._lower, self._upper)
            self._left = np.concatenate((certain, intended, np.zeros((self._execute, plan.shape[1]))))
        return chunk

    def _forget(self) -> None:
        """Begin with a plan that is bound to nothing."""
        self._pending = 0
        """Actions that have been returned and are still to be executed when the next plan is asked for."""
        self._left: np.ndarray | None = None
        """What the former plan says about the actions from then on, shape (H, A), zeros where it has ended."""

    def _blend(self, step: int) -> np.ndarray:
        """Mean (A,) of what all plans say about a control step."""
        said = np.array([plan[step - start] for start, plan in self._plans if step - start < len(plan)])
        weights = np.exp(-self._ensemble * np.arange(len(said)))
        return weights @ said / weights.sum()

    def _hold(self, reason: str, now: float) -> Chunk:
        """One action that stops the robot; earlier plans are forgotten, and what of them was not executed yet."""
        self._plans = []
        if self._pending > 0:
            self._sent = np.concatenate((self._sent[self._pending :], self._sent[: self._pending] * 0.0))
            self._last = self._sent[0]
        self._forget()
        return self._bound(np.where(self._keeps, self._last, 0.0)[None], now, reason)

    def _bound(self, wanted: np.ndarray, now: float, reason: str | None = None) -> Chunk:
        """Actions (N, A) within limits and rates."""
        actions = np.empty_like(wanted)
        for i, action in enumerate(np.clip(wanted, self._lower, self._upper)):
            self._last = np.clip(action, self._last - self._max_change, self._last + self._max_change)
            actions[i] = self._last
        self._sent = np.concatenate((actions[::-1], self._sent))[: len(self._sent)]
        self._step += len(actions)
        times = now + self.package.period * (self._pending + np.arange(len(actions)))
        return Chunk(times, actions.astype(np.float32), reason)
