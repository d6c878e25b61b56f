# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Constants on the device, made once: a copy from the host waits for all that the device still has to do."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch


def constant(values: Sequence[float], device: torch.device | str) -> torch.Tensor:
    """Numbers as a tensor, shape (N,), which is shared: do not change it."""
    return _constant(tuple(values), torch.device(device))


@functools.cache
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):  # whoever comes later may need gradients of what is computed with it
        return torch.tensor(values, device=device)
