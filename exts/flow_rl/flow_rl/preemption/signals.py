# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The signals with which a scheduler takes a machine back."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What asks a training to end: the usual request, and the warning that SLURM's `--signal=B:USR1@120` sends."""
EXIT_CODE = 143
"""With which a training ends that was asked to, as a shell says of SIGTERM."""


class Stopped(Exception):
    """Training ends here, where nothing is half done."""


class Preemption:
    """Within it, signals are taken down instead of ending the process; whoever trains looks when it suits.

    Attributes:
        grace: Seconds that the present iteration may still take.
        name: Name of the signal that came, None before.
    """

    def __init__(self, grace: float):
        """Take note of the grace [s]."""
        self.grace = grace
        self.name: str | None = None
        self._since = 0.0
        self._former: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.name is not None

    @property
    def overdue(self) -> bool:
        """Whether a signal has come, and the grace is over."""
        return self.asked and time.monotonic() - self._since >= self.grace

    def __enter__(self) -> Preemption:
        """Take over from whatever handled the signals, in the main thread; in others Python has no handlers."""
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:  # schedulers repeat themselves
            self.name, self._since = signal.Signals(number).name, time.monotonic()


def leave_when_asked() -> None:
    """Let a command that has not begun to train end as one that has, so that its script starts it again."""
    for number in SIGNALS:
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    print(f"[flow_rl] {name}: stopped outside of training, nothing is lost. Repeat the same command.", file=sys.stderr)
    raise SystemExit(EXIT_CODE)
