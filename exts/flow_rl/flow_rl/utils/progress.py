# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Progress bars that also read well in a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, description: str, unit: str, *, show: bool = True) -> tqdm[Any]:
    """Return a bar that moves smoothly on a terminal and leaves few lines in a file."""
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm(total=total, desc=description, unit=unit, mininterval=interval, maxinterval=interval, disable=not show)
