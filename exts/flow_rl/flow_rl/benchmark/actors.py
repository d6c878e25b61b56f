# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Actors that others trained, as demonstrators of suite ``gym``: ``--expert flow_rl.benchmark.actors:hopper``.

Weights are those of DLR-RM/rl-trained-agents (MIT), SAC on the ``-v3`` environments, as arrays ``w0 b0 w1 b1 w2 b2`` of
``sac_<name>.npz`` in the folder that the environment variable ``FLOW_RL_EXTERNAL`` names; they are no part of flow_rl.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from flow_rl.utils.check import InputError, require

FOLDER = "FLOW_RL_EXTERNAL"
"""Environment variable that names the folder of data and policies of others."""


def external(name: str) -> Path:
    """Return a file of data that others made.

    Raises:
        InputError: If it is not there.
    """
    folder = os.environ.get(FOLDER)
    require(folder is not None, FOLDER, None, "the folder of data that others made", f"export {FOLDER}=<folder>.")
    path = Path(folder, name)
    if not path.is_file():
        raise InputError(f"{FOLDER}={folder!r} has no {name}. Valid: a folder with it. Fetch it; see its docstring.")
    return path


@functools.cache
def _weights(name: str) -> dict[str, np.ndarray]:
    with np.load(external(f"sac_{name}.npz")) as file:
        return dict(file)


def _act(name: str, obs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the actor's actions (E, A): ``tanh(W2 relu(W1 relu(W0 o + b0) + b1) + b2)``."""
    weights, hidden = _weights(name), obs["policy"]
    for layer in range(2):
        hidden = np.maximum(hidden @ weights[f"w{layer}"].T + weights[f"b{layer}"], 0.0)
    return np.tanh(hidden @ weights["w2"].T + weights["b2"])


hopper = functools.partial(_act, "hopper")
walker2d = functools.partial(_act, "walker2d")
halfcheetah = functools.partial(_act, "halfcheetah")
