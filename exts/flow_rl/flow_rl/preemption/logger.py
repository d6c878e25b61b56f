# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stock logger of a run that goes on: its curves, sums and clocks do, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from flow_rl.ranks.logger import RankLogger
from flow_rl.utils.files import brief

from .curves import continue_curves


class RunLogger(RankLogger):
    """The stock logger with a state, and with calls back where a training may end.

    Attributes:
        first_row: Iteration at which the curves in the folder go on; None for a run that shares its folder with none.
        began: Iteration with which the run began, before all interruptions.
        after_step: Called after each decision.
        after_iteration: Called with the number of an iteration when its row is written.
        lossy: Whether rows could not be written.
    """

    first_row: int | None = None
    began: int | None = None
    after_step: Callable[[], None] | None = None
    after_iteration: Callable[[int], None] | None = None
    lossy = False

    def init_logging_writer(self) -> None:
        """Open the curves, where they are to go on if there are some."""
        wandb = self.cfg.get("logger") == "wandb"
        if wandb and self.first_row is not None:
            writer = {"class_name": "flow_rl.preemption.wandb_writer:WandbWriter"}
            self.cfg = self.cfg | {"logger": writer | {"project_name": self.cfg.get("wandb_project")}}
        super().init_logging_writer()
        if self.first_row is not None and self.log_dir is not None and not self.disable_logs:
            if hasattr(self.writer, "refill"):
                self.writer.refill(self.first_row)
            continue_curves(self.writer, self.log_dir, self.first_row, self.tot_time)

    def process_env_step(self, *args: Any, **kwargs: Any) -> None:
        """Count a decision."""
        super().process_env_step(*args, **kwargs)
        if self.after_step is not None:
            self.after_step()

    def log(self, it: int, start_it: int, **numbers: Any) -> None:
        """Write an iteration's row; what is left to do is reckoned from the speed since the run began."""
        with self._surviving():
            super().log(it=it, start_it=start_it if self.began is None else self.began, **numbers)
        if self.after_iteration is not None:
            self.after_iteration(it)

    def flush(self) -> None:
        """Let all rows reach their files."""
        if hasattr(self.writer, "flush"):
            with self._surviving():
                self.writer.flush()

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Go on without rows that cannot be written, on a full disk for instance, with curves opened anew."""
        try:
            yield
        except OSError as error:
            if not self.lossy:
                print(f"[flow_rl] warning: curves in {self.log_dir} lack rows ({brief(error)}). Training goes on.")
            self.lossy = True
            if isinstance(self.writer, SummaryWriter):  # whose thread has ended
                with contextlib.suppress(OSError):
                    self.writer.close()
                with contextlib.suppress(OSError):
                    self.writer = SummaryWriter(log_dir=self.log_dir, flush_secs=10)

    def state_dict(self) -> dict[str, Any]:
        """Sums and clocks, as tensors and plain values."""
        return {
            "seconds": self.tot_time,
            "timesteps": self.tot_timesteps,
            "rewards": list(self.rewbuffer),
            "lengths": list(self.lenbuffer),
            "present_rewards": self.cur_reward_sum,
            "present_lengths": self.cur_episode_length,
        }

    def load_state_dict(self, state: dict[str, Any], same_episodes: bool) -> None:
        """Go on counting; the episodes that were under way go on only where the environments do."""
        self.tot_time, self.tot_timesteps = state["seconds"], state["timesteps"]
        self.rewbuffer.extend(state["rewards"])
        self.lenbuffer.extend(state["lengths"])
        if same_episodes:
            self.cur_reward_sum = torch.as_tensor(state["present_rewards"], device=self.device).clone()
            self.cur_episode_length = torch.as_tensor(state["present_lengths"], device=self.device).clone()
