# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An exported policy that LeRobot's robots can be driven with."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy

from flow_rl.deploy.runner import Chunk, PolicyRunner
from flow_rl.utils.check import InputError, require

from .configuration_flow_rl import IMAGES, STATE, FlowRLConfig


class FlowRLPolicy(PreTrainedPolicy):
    """One robot's policy. The state is the contract's observations one after the other; actions are the contract's."""

    config_class = FlowRLConfig
    name = "flow_rl"

    def __init__(self, config: FlowRLConfig, **_: Any):
        """Read the package; statistics of data sets, which LeRobot hands over, are not needed."""
        super().__init__(config)
        self.runner = PolicyRunner(config.package, execute=config.execute, noise=config.noise)
        self._actions: deque[np.ndarray] = deque()

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path: str | Path, *, config: FlowRLConfig | None = None, **_: Any
    ) -> FlowRLPolicy:
        """Read a package by its folder."""
        return cls(config or FlowRLConfig(package=str(pretrained_name_or_path)))

    def reset(self) -> None:
        """Begin an episode."""
        self._actions.clear()
        if self.runner.package.contract["actions"]["start"] is None:
            raise InputError("actions of this policy are absolute: call runner.reset(start) with the present pose.")
        self.runner.reset()

    @torch.no_grad()
    def select_action(self, batch: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Next action, shape (1, A), from a state (1, O) and pictures (1, 3, h, w) in [0, 1]."""
        if not self._actions:
            self._actions.extend(self._plan(batch).actions)
        return torch.from_numpy(self._actions.popleft())[None]

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Next actions, shape (1, N, A), as in :meth:`select_action`."""
        return torch.from_numpy(self._plan(batch).actions)[None]

    def forward(self, batch: dict[str, torch.Tensor]) -> None:
        """Raise an InputError: an exported policy does not learn."""
        self.config.get_optimizer_preset()

    get_optim_params = forward

    def _plan(self, batch: dict[str, torch.Tensor]) -> Chunk:
        chunk = self.runner.act(self._named(batch))
        if chunk.is_held:
            logging.warning("held: %s", chunk.reason)
        return chunk

    def _named(self, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """Observations by the contract's names."""
        state = batch[STATE].cpu().numpy()
        wanted = (1, *self.config.input_features[STATE].shape)
        names = ", ".join(term["name"] for term in self.runner.package.observations)
        require(state.shape == wanted, STATE, state.shape, f"{wanted}: {names}", "give these in this order.")
        parts = np.split(state[0], np.cumsum([term["shape"][0] for term in self.runner.package.observations])[:-1])
        values = {term["name"]: part for term, part in zip(self.runner.package.observations, parts, strict=True)}
        for name in self.runner.package.cameras:
            values[name] = (255.0 * batch[IMAGES + name][0]).round().to(torch.uint8).cpu().numpy()
        return values
