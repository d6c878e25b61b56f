# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stock runner's log, of the episodes of all ranks."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import Any

import torch
from rsl_rl.utils.logger import Logger

from .collective import gathered, world_size

BUFFERS = ("rewbuffer", "lenbuffer")
"""What a logger keeps of the last episodes."""


class RankLogger(Logger):
    """Rank 0 logs what the episodes of all ranks were like; the others keep theirs until then.

    What learners log they have averaged themselves.
    """

    def init_logging_writer(self) -> None:
        """Open the curves on rank 0; elsewhere a writer that writes nothing lets the runner count episodes and save."""
        super().init_logging_writer()
        if self.disable_logs and self.log_dir is not None:
            self.writer = object()

    def log(self, *args: Any, **numbers: Any) -> None:
        """Log an iteration; the arguments are the base's."""
        if self.writer is None:
            return
        if world_size() == 1:
            super().log(*args, **numbers)  # which does not ask the device for each number
            return
        extras = self._as_numbers(self.ep_extras)
        own = {name: getattr(self, name) for name in BUFFERS}
        everyone = gathered({"extras": extras} | {name: list(buffer) for name, buffer in own.items()})
        self.ep_extras = list(chain.from_iterable(each["extras"] for each in everyone))
        for name in BUFFERS:
            setattr(self, name, deque(chain.from_iterable(each[name] for each in everyone)))
        if not self.disable_logs:
            super().log(*args, **numbers)
        self.ep_extras.clear()
        for name, buffer in own.items():
            setattr(self, name, buffer)

    def save_model(self, path: str, it: int) -> None:
        """Hand a checkpoint to what logs, on rank 0."""
        if not self.disable_logs:
            super().save_model(path, it)

    def _as_numbers(self, extras: list[dict[str, Any]]) -> list[dict[str, float]]:
        """What environments logged as numbers, which cross to the host at once; of several, the mean."""
        values = [
            torch.as_tensor(value, dtype=torch.float, device=self.device).mean()
            for each in extras
            for value in each.values()
        ]
        numbers = iter(torch.stack(values).tolist() if values else ())
        return [{name: next(numbers) for name in each} for each in extras]
