# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Seconds of the phases of an iteration."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch


class Stopwatch:
    """Adds up what phases take. On a GPU it records events, so that nothing waits before :meth:`read`."""

    def __init__(self, device: str | torch.device):
        """Build it for what happens on a device."""
        self._events = torch.device(device).type == "cuda" and torch.cuda.is_available()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._pending: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens within this context to a phase."""
        if self._events:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._pending.append((name, begin, end))
        else:
            start = time.perf_counter()
            yield
            self._seconds[name] += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """Seconds by phase since the last call, as ``seconds_<phase>``; waits for the last of them to end."""
        for name, begin, end in self._pending:
            end.synchronize()
            self._seconds[name] += 1e-3 * begin.elapsed_time(end)
        seconds = {f"seconds_{name}": value for name, value in self._seconds.items()}
        self._pending.clear()
        self._seconds.clear()
        return seconds
