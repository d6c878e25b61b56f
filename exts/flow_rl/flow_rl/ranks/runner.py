# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stock runner on several ranks, of CPUs as well, which goes on after a restart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner

from flow_rl.utils.checkpoint import save_checkpoint

from .collective import from_first
from .logger import RankLogger

RESTARTS = "TORCHELASTIC_RESTART_COUNT"
"""Variable in which the launcher says how often it has started the ranks again."""


class RankRunner(OnPolicyRunner):
    """As the stock one, on CPUs with gloo and on GPUs with NCCL.

    Checkpoints appear as a whole. What belongs to another rank than 0 alone, its replay and its random numbers, lies
    in the run's folder ``rank_<rank>``, as ``own_`` and the name of the common checkpoint.
    """

    logger_class = RankLogger

    def __init__(self, env: VecEnv, train_cfg: dict, log_dir: str | None = None, device: str = "cpu") -> None:
        """Join the other ranks, and build the learner; the arguments are the base's."""
        super().__init__(env, train_cfg, log_dir, device)
        self.logger = self.logger_class(
            log_dir=log_dir,
            cfg=self.cfg,
            env_cfg=env.cfg,
            num_envs=env.num_envs,
            is_distributed=self.is_distributed,
            gpu_world_size=self.gpu_world_size,
            gpu_global_rank=self.gpu_global_rank,
            device=self.device,
        )

    def learn(self, num_learning_iterations: int, init_at_random_ep_len: bool = False) -> None:
        """Learn; after a restart, what is left, unless the run goes on by itself."""
        left = num_learning_iterations
        if int(os.getenv(RESTARTS, "0")) > 0 and not self.cfg.get("resume"):
            left -= self._restart(num_learning_iterations)
        super().learn(left, init_at_random_ep_len)

    def save(self, path: str, infos: dict | None = None) -> None:
        """Save what all ranks share on rank 0, and beside it what is each other rank's own."""
        if self.gpu_global_rank > 0:
            if hasattr(self.alg, "save_own"):
                save_checkpoint(self._own_path(path), self.alg.save_own())
            return
        save_checkpoint(path, self.alg.save() | {"iter": self.current_learning_iteration, "infos": infos})
        self.logger.save_model(path, self.current_learning_iteration)

    def load(self, path: str, *args: Any, **options: Any) -> dict:
        """Load what all ranks share, and what is this rank's own; the arguments are the base's."""
        own = self._own_path(path)
        known = self.gpu_global_rank > 0 and own.is_file()
        self.alg.own_state = torch.load(own, map_location=self.device, weights_only=True) if known else None
        return super().load(path, *args, **options)

    def _restart(self, planned: int) -> int:
        """Load the newest checkpoint in the run's own folder; returns the iterations that lie behind in this run."""
        path = from_first(newest_checkpoint(Path(self.logger.log_dir)) if self.logger.log_dir else None)
        if path is None:
            return 0
        begun = self.current_learning_iteration
        self.load(str(path), map_location=self.device)
        # the stock runner would repeat the checkpoint's own
        self.current_learning_iteration = getattr(self.alg, "iteration", self.current_learning_iteration + 1)
        done = self.current_learning_iteration - begun
        if hasattr(self.alg, "num_iterations"):
            self.alg.num_iterations -= done
        if self.gpu_global_rank == 0:
            print(f"[flow_rl] restarted: goes on from {path.name}, {planned - done} iterations are left", flush=True)
        return done

    def _own_path(self, path: str) -> Path:
        """File of what is this rank's own of a checkpoint."""
        return Path(path).parent / f"rank_{self.gpu_global_rank}" / f"own_{Path(path).name}"

    def _configure_multi_gpu(self) -> None:
        """Join the other ranks; the base knows GPUs alone, and no restarts."""
        if int(os.getenv("WORLD_SIZE", "1")) == 1:
            super()._configure_multi_gpu()
            return
        if not torch.distributed.is_initialized():
            join(self.device)
        self.gpu_world_size, self.is_distributed = torch.distributed.get_world_size(), True
        self.gpu_global_rank, self.gpu_local_rank = torch.distributed.get_rank(), int(os.environ["LOCAL_RANK"])
        ranks = {"global_rank": self.gpu_global_rank, "local_rank": self.gpu_local_rank}
        self.cfg["multi_gpu"] = ranks | {"world_size": self.gpu_world_size}


def join(device: str) -> None:
    """Meet the other ranks, which talk gloo on CPUs and NCCL on GPUs."""
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    store, rank, ranks = next(torch.distributed.rendezvous("env://"))
    # the launcher's store outlives a restart, and the addresses of the dead with it
    store = torch.distributed.PrefixStore(f"start_{os.getenv(RESTARTS, '0')}", store)
    backend = "nccl" if on_gpu else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint of a run; that of its best policy is none."""
    found = {path: re.fullmatch(r"model_(\d+)\.pt", path.name) for path in folder.glob("model_*.pt")}
    return max((path for path, match in found.items() if match), key=lambda path: int(found[path][1]), default=None)
