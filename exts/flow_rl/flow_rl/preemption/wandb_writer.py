# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A wandb run that several processes write one after the other."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import wandb
from rsl_rl.utils.wandb_log_writer import WandbLogWriter
from torch.utils.tensorboard import SummaryWriter

ID = "wandb_id.txt"
"""File in a run's folder with the id of its wandb run."""


def recall_run(folder: str | Path) -> None:
    """Let whatever begins a wandb run go on with that of a folder, if it has one; offline runs keep their id."""
    path = Path(folder, ID)
    if path.is_file():
        os.environ["WANDB_RUN_ID"], os.environ["WANDB_RESUME"] = path.read_text(), "allow"


class WandbWriter(WandbLogWriter):
    """The stock writer, which sends each iteration once: wandb cannot take back what it was sent.

    Iterations that are repeated after going back to a checkpoint are left out; TensorBoard's files have them anew.
    """

    def __init__(self, log_dir: str, project_name: str):
        """Begin or continue the run of a folder."""
        recall_run(log_dir)
        super().__init__(log_dir, project_name)
        Path(log_dir, ID).write_text(wandb.run.id)
        held = _newest_offline(Path(wandb.run.dir).parents[1]) if wandb.run.offline else wandb.run.step - 1
        self.sent = held
        """Last iteration that wandb has."""

    def refill(self, first: int) -> None:
        """Send iterations before the next one, `first`, that a process was killed with before wandb had them."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        if self.sent + 1 >= first:
            return
        found = EventAccumulator(self.log_dir, size_guidance={"scalars": 0}).Reload()
        rows: dict[int, dict[str, float]] = {step: {} for step in range(self.sent + 1, first)}
        for tag in found.Tags()["scalars"]:
            for row in found.Scalars(tag):
                if row.step in rows:
                    rows[row.step][tag] = row.value
        for step, values in rows.items():
            wandb.log(values, step=step)

    def add_scalar(
        self,
        tag: str,
        scalar_value: float,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
    ) -> None:
        """Log a scalar to TensorBoard, and to wandb if the iteration is new to it."""
        known = global_step is not None and global_step <= self.sent
        writer = SummaryWriter if known else WandbLogWriter
        writer.add_scalar(self, tag, scalar_value, global_step, walltime, new_style)


def _newest_offline(folder: Path) -> int:
    """Last step that the files of offline runs with the present run's id hold, -1 if there is none.

    wandb offers no reader of these files but this one of its own.
    """
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    newest = -1
    for path in folder.glob(f"offline-run-*/run-{wandb.run.id}.wandb"):
        store = DataStore()
        with contextlib.suppress(AssertionError, OSError):  # what a process was killed in the middle of
            store.open_for_scan(str(path))
            while (data := store.scan_data()) is not None:
                record = Record.FromString(data)
                if record.HasField("history"):
                    newest = max(newest, record.history.step.num)
    return newest
