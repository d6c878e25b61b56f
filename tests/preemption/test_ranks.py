# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two ranks of which one is asked to end do so together."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import torch

from flow_rl.preemption.runner import PreemptibleRunner
from flow_rl.testing import PointMass, small_config
from flow_rl.utils.checkpoint import load_checkpoint
from tests.preemption.training import before, curves, send


class RankRunner(PreemptibleRunner):
    """On CPUs, which the stock runner's ranks have not."""

    def _configure_multi_gpu(self) -> None:
        self.gpu_world_size, self.is_distributed = 2, True
        self.gpu_global_rank = self.gpu_local_rank = torch.distributed.get_rank()
        self.cfg["multi_gpu"] = {
            "global_rank": self.gpu_global_rank,
            "local_rank": self.gpu_local_rank,
            "world_size": 2,
        }


def live(rank: int, folder: Path, start: int, decision: int) -> None:
    """A rank, of which the second is asked to end before a decision."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / f"store_{start}"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.manual_seed(rank)
    cfg = small_config("score_flow") | {"resume": True, "max_iterations": 4, "grace": 0.0}
    runner = RankRunner(PointMass(8), cfg, log_dir=str(folder / "run"))
    before(runner, decision if rank == 1 else -1, send(signal.SIGTERM)).learn(4)
    torch.distributed.destroy_process_group()


def start(folder: Path, number: int, decision: int) -> list[int]:
    """Run both ranks; returns their exit codes."""
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=live, args=(rank, folder, number, decision)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(300)
    return [rank.exitcode for rank in ranks]


def test_ranks_end_after_the_same_iteration(tmp_path):
    """Which they finish, though there is no grace: one that stopped would leave the other waiting."""
    assert start(tmp_path, 0, 8) == [143, 143]
    assert load_checkpoint(tmp_path / "run" / "model_1.pt")["flow_rl"]["iteration"] == 2
    assert start(tmp_path, 1, -1) == [0, 0]
    assert load_checkpoint(tmp_path / "run" / "model_3.pt")["flow_rl"]["iteration"] == 4
    assert [step for step, _ in curves(tmp_path / "run")["Loss/learning_rate"]] == list(range(4))
