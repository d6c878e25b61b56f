# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Torch's random numbers, so that an interrupted run can go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def rng_state() -> dict:
    """State of the generators of the CPU and of all GPUs."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict) -> None:
    """Take over a state; that of GPUs only where there are as many."""
    torch.set_rng_state(state["cpu"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([generator.cpu() for generator in state["cuda"]])


@contextlib.contextmanager
def preserved_rng() -> Iterator[None]:
    """Go on afterwards with the random numbers of torch, NumPy and Python as if nothing had been drawn inside."""
    saved = rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        set_rng_state(saved[0])
        np.random.set_state(saved[1])
        random.setstate(saved[2])
