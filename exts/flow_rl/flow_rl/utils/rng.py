# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Random numbers, so that an interrupted run can go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def rng_state() -> dict:
    """State of torch's generators, of the CPU and of all GPUs, of NumPy's and of Python's; plain values and tensors."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    kind, words, *rest = np.random.get_state()
    numpy = [kind, torch.from_numpy(words.astype(np.int64)), *rest]
    return {"cpu": torch.get_rng_state(), "cuda": cuda, "numpy": numpy, "python": random.getstate()}


def set_rng_state(state: dict) -> None:
    """Take over a state; that of GPUs only where there are as many, those of NumPy and Python if they are known."""
    torch.set_rng_state(state["cpu"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([generator.cpu() for generator in state["cuda"]])
    if "numpy" in state:
        kind, words, *rest = state["numpy"]
        np.random.set_state((kind, words.cpu().numpy().astype(np.uint32), *rest))
        random.setstate(state["python"])


@contextlib.contextmanager
def preserved_rng() -> Iterator[None]:
    """Go on afterwards with the random numbers of torch, NumPy and Python as if nothing had been drawn inside."""
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
