# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A wandb run that several processes write one after the other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import wandb
from rsl_rl.utils.wandb_log_writer import WandbLogWriter
from torch.utils.tensorboard import SummaryWriter

NOTES = "wandb.json"
"""File in a run's folder with the id of its wandb run, and the last iteration that was sent whole."""


def recall_run(folder: str | Path) -> None:
    """Let whatever begins a wandb run go on with that of a folder, if it has one; offline runs keep their id."""
    path = Path(folder, NOTES)
    if path.is_file():
        os.environ["WANDB_RUN_ID"] = json.loads(path.read_text())["id"]
        os.environ["WANDB_RESUME"] = "allow"


class WandbWriter(WandbLogWriter):
    """The stock writer, which sends no iteration twice: wandb cannot take back what it was sent.

    Iterations that are repeated after going back to a checkpoint are left out; TensorBoard's files have them anew.
    """

    def __init__(self, log_dir: str, project_name: str):
        """Begin or continue the run of a folder."""
        recall_run(log_dir)
        super().__init__(log_dir, project_name)
        self.path = Path(log_dir, NOTES)
        self.sent = json.loads(self.path.read_text())["step"] if self.path.is_file() else -1
        self.present = self.sent
        self._note()

    def add_scalar(
        self,
        tag: str,
        scalar_value: float,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
    ) -> None:
        """Log a scalar to TensorBoard, and to wandb if the iteration is new to it."""
        if global_step is not None and global_step <= self.sent:
            SummaryWriter.add_scalar(self, tag, scalar_value, global_step, walltime, new_style)
            return
        super().add_scalar(tag, scalar_value, global_step, walltime, new_style)
        if global_step is not None and global_step > self.present:
            self._note()  # wandb takes a row for whole when the next one begins
            self.present = global_step

    def stop(self) -> None:
        """End the run, or what this process has to write of it."""
        super().stop()
        self._note()

    def _note(self) -> None:
        partial = self.path.with_name(f"{NOTES}.partial")
        partial.write_text(json.dumps({"id": wandb.run.id if wandb.run else self.id, "step": self.present}))
        partial.replace(self.path)
