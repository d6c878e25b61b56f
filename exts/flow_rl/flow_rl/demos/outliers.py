# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Values far from all others: where they are, and scales that they do not set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FAR = 10.0
"""Interquartile ranges beyond the quartiles from which on a value is called an outlier."""
NARROW = 0.1
"""Share of the range from the 1st to the 99th percentile below which the quartiles' says nothing about outliers."""
SHOWN = 3
"""Places that are named of each kind of fault."""


def find_outliers(values: np.ndarray) -> np.ndarray:
    """Return the mask (N, D) of outliers among values (N, D); what is not finite is none."""
    finite = np.isfinite(values)
    known = np.where(finite, values, np.nan)
    with np.errstate(all="ignore"):
        first, third = np.nanpercentile(known, [25, 75], axis=0)
        middle = np.nanpercentile(known, 99, axis=0, method="lower")
        middle = middle - np.nanpercentile(known, 1, axis=0, method="higher")
        # of a robot that mostly rests all other values would be outliers
        spread = np.where(third - first > NARROW * middle, third - first, np.inf)
        return finite & ((known > third + FAR * spread) | (known < first - FAR * spread))


def describe_outliers(key: str, values: np.ndarray, names: Sequence[str], lengths: Sequence[int]) -> str | None:
    """Return a warning about the outliers of values (N, D), None without any; see :func:`describe_places`."""
    far = find_outliers(values)
    if not far.any():
        return None
    return (
        f"{key} has {int(far.sum())} values more than {FAR:g} interquartile ranges away, "
        f"{describe_places(far, values, names, lengths)}: they widen the range by which all are normalised. Remove "
        "those episodes, or learn with agent.normalization=quantile"
    )


def describe_places(mask: np.ndarray, values: np.ndarray, names: Sequence[str], lengths: Sequence[int]) -> str:
    """Name the first places of a mask with their values.

    Args:
        mask: Which values are meant, shape (N, D).
        values: All values, episode after episode, shape (N, D).
        names: Names of the episodes.
        lengths: Their numbers of samples, N in sum.
    """
    starts = np.cumsum([0, *lengths])
    named = []
    for row, column in np.argwhere(mask)[:SHOWN]:
        episode = int(np.searchsorted(starts, row, side="right")) - 1
        named.append(f"{names[episode]} step {row - starts[episode]} [{column}] = {values[row, column]:.4g}")
    return "; ".join(named)


def within_percentiles(values: np.ndarray, low: float = 1.0, high: float = 99.0) -> np.ndarray:
    """Clip each column of values (N, D) to its percentiles.

    Where these coincide it stays as it is: of a gripper that opens once they would leave nothing.
    """
    least, greatest = np.percentile(values, [low, high], axis=0)
    varies = greatest > least
    least, greatest = np.where(varies, least, -np.inf), np.where(varies, greatest, np.inf)
    return values.clip(least, greatest).astype(values.dtype)
