# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""True ranks for tests, forked: importing everything anew takes longer than all that they do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PYTHONPATH = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.getenv("PYTHONPATH")]))
"""Where ranks that a launcher starts find these tests."""


def on_ranks(function: Callable[..., Any], *arguments: Any, ranks: int = 2) -> list[Any]:
    """Call a function of a rank and arguments on several ranks that talk gloo; returns what each returns."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            _call, args=(Path(folder), ranks, function, arguments), nprocs=ranks, start_method="fork"
        )
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=False) for rank in range(ranks)]


def _call(rank: int, folder: Path, ranks: int, function: Callable[..., Any], arguments: tuple) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    store = torch.distributed.FileStore(str(folder / "store"), ranks)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    torch.save(function(rank, *arguments), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
