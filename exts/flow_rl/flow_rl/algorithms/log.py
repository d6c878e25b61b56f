# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Numbers for the log."""

from __future__ import annotations

from itertools import chain

import torch


def to_host(scalars: dict[str, torch.Tensor], log: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Scalars, and the means of those that were logged step by step; everything crosses to the host at once."""
    scalars = dict(scalars)
    for name in dict.fromkeys(chain.from_iterable(log)):
        if (values := [entry[name] for entry in log if name in entry])[0].dim() == 0:
            scalars[name] = torch.stack(values).mean()
    values = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))
