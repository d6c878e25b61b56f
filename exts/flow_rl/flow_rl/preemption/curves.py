# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""TensorBoard's curves of a run that goes back to a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


def continue_curves(writer: SummaryWriter, folder: str | Path, first: int, seconds: float) -> None:
    """Let TensorBoard drop what earlier writers of a folder wrote of iterations that are about to be repeated.

    The event for this is the one that the writer's own `purge_step` makes. It knows one axis for all curves, so that
    those over seconds, whose tags end in "/time", are written again as far as they still hold.

    Args:
        writer: Has just been opened on the folder.
        folder: The run's.
        first: Iteration that comes next.
        seconds: Training time that lies behind [s].
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    earlier = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in earlier.Tags()["scalars"] if tag.endswith("/time")]
    rows = [(tag, row) for tag in tags for row in earlier.Scalars(tag) if first <= row.step <= seconds]
    start = SessionLog(status=SessionLog.START)
    writer.file_writer.add_event(Event(wall_time=time.time(), step=first, session_log=start))
    for tag, row in rows:
        writer.add_scalar(tag, row.value, row.step, walltime=row.wall_time)
