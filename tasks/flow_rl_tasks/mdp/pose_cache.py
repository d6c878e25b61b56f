# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What follows from the poses of an articulation, computed once for each of its states.

Actions, observations, terminations and experts all ask where the tool is, several times in each control tick.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from isaaclab.assets import Articulation

_caches: weakref.WeakKeyDictionary[Any, _Cache] = weakref.WeakKeyDictionary()


class _Cache:
    """Values that hold for one state of an articulation's data: until time passes, or a pose or a joint is written."""

    def __init__(self, data: Any):
        self.values: dict[Hashable, Any] = {}
        self.time = None
        invalidate = data._reset_pose

        def reset_pose(*args: Any, **kwargs: Any) -> None:
            self.values.clear()
            invalidate(*args, **kwargs)

        # Both engines' writers of poses and joints call it, so that what they derive from poses is computed anew.
        data._reset_pose = reset_pose


def once_per_state[Value](asset: Articulation, key: Hashable, compute: Callable[[], Value]) -> Value:
    """Return what ``compute`` gives for the present poses of an articulation; it is shared: do not change it.

    Args:
        asset: The articulation on whose poses the value depends, and on nothing else that changes.
        key: What is computed.
        compute: Function without arguments that reads the poses.
    """
    leapp = sys.modules.get("leapp")
    if leapp is not None and leapp.ExportManager.is_interpret_graph_enabled():
        return compute()  # an export records what is read, every time
    cache = _caches.get(asset.data)
    if cache is None:
        cache = _caches[asset.data] = _Cache(asset.data)
    if cache.time != asset.data._sim_timestamp:
        cache.values.clear()
        cache.time = asset.data._sim_timestamp
    if key not in cache.values:
        cache.values[key] = compute()
    return cache.values[key]
