# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What of a chunk is executed where making one takes time, and how the next chunk joins it.

A chunk is made from what is seen at control step 0 and ready at step d, the inference delay. Until then the robot goes
on with the former chunk, so that of the new one the actions d .. d + s - 1 are executed, and the next chunk begins to
be made at step s. Of the former chunk H - s actions are known at step 0: d of them will be executed for certain, and
the others say what was intended (real-time chunking, arXiv 2506.07339).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flow_rl.utils.check import require, require_choice

METHODS = ("naive", "inpainting", "rtc")
"""How a chunk joins the former one.

It takes no notice; or the former one is written over it at each step of the flow, with what noise belongs there, which
needs no gradient; or real-time chunking, which guides the flow by the gradient of its end.
"""


@dataclass(frozen=True)
class Chunking:
    """When chunks are made, and how they join."""

    horizon: int
    """Actions H of a chunk."""

    execute: int | None = None
    """Control steps s from one decision to the next; by default H - d, as many as there are."""

    delay: int = 0
    """Control steps d that pass before a chunk is ready."""

    method: str = "naive"
    """One of :data:`METHODS`."""

    def __post_init__(self):
        """Refuse what leaves the robot without actions, or begins a chunk before the former one is ready."""
        most = self.horizon // 2
        remedy = f"a chunk has {self.horizon} actions: make it faster, or train longer chunks."
        require(0 <= self.delay <= most, "inference_delay", self.delay, f"0 to {most} control steps", remedy)
        if self.execute is None:
            object.__setattr__(self, "execute", self.horizon - self.delay)
        low, high = max(1, self.delay), self.horizon - self.delay
        why = f"of chunks of {self.horizon} that take {self.delay}" if self.delay else "the chunk's length"
        require(low <= self.execute <= high, "execute", self.execute, f"{low} to {high}, {why}", "leave it out.")
        require_choice("chunking", self.method, METHODS)

    @property
    def joins(self) -> bool:
        """Whether chunks take notice of the former ones."""
        return self.method != "naive" and self.execute < self.horizon

    def weights(self) -> np.ndarray:
        """How much each action of a chunk is bound to the former chunk, shape (H,), in [0, 1].

        1 for the actions that will be executed before the chunk is ready, 0 where the former chunk has ended, and
        between them decaying faster than linearly (the soft mask of arXiv 2506.07339).
        """
        step, end = np.arange(self.horizon), self.horizon - self.execute
        share = np.clip((end - step) / (end - self.delay + 1), 0.0, 1.0)
        soft = share * np.expm1(share) / np.expm1(1.0)
        return np.where(step < self.delay, 1.0, soft).astype(np.float32)
