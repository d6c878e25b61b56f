# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A user's function as the expert of an environment that brings none."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from flow_rl.utils.check import InputError, require

Function = Callable[[dict[str, np.ndarray]], np.ndarray]
"""From observations by group, each of shape (E, ...), to actions (E, A); in [-1, 1] for Gymnasium's environments."""


def load_function(name: str | None) -> Function:
    """Import ``"module:function"``, from the present folder as well; the module's code is executed.

    Raises:
        InputError: If it cannot be imported, or is no function.
    """
    valid, remedy = "module:function, which this environment needs", "write one, such as my_policy:act."
    require(name is not None and ":" in name, "--expert", name, valid, remedy)
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--expert {name!r} cannot be imported: {error}. Valid: {valid}.") from None
    require(callable(function), "--expert", name, "a function", remedy)
    return function


class FunctionExpert:
    """Demonstrates with a function, whose actions get Gaussian noise of deviation ``1 - quality``.

    See :class:`flow_rl.demos.collect.Expert`.
    """

    strategies = ("function",)

    def __init__(self, env: Any, function: Function, *, quality: float, seed: int):
        """Wrap a function that acts in an environment of E places."""
        self._env, self._function, self._deviation = env, function, 1.0 - quality
        self._bound = getattr(env, "action_bound", math.inf)
        self._random = torch.Generator().manual_seed(seed)
        self.strategy = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    def act(self) -> torch.Tensor:
        """Return the actions of one control tick, shape (E, A)."""
        obs = {name: value.cpu().numpy() for name, value in self._env.observation_manager.compute().items()}
        actions = torch.as_tensor(np.asarray(self._function(obs)), dtype=torch.float32)
        wanted = (self._env.num_envs, self._env.action_manager.total_action_dim)
        require(actions.shape == wanted, "--expert", tuple(actions.shape), f"actions of shape {wanted}", "mend it.")
        noise = torch.randn(wanted, generator=self._random)
        return (actions + self._deviation * noise).clamp(-self._bound, self._bound).to(self._env.device)

    def reset(self, env_ids: torch.Tensor) -> None:
        """Functions remember nothing."""
