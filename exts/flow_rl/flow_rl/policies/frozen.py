# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a policy is to those who leave it as it is: observations and noise in, a chunk out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from flow_rl.utils.check import InputError

Shapes = dict[str, list[int]]
"""Shape of each observation group without the batch's dimension: vectors (O), images (3, H, W) of bytes."""


class Interface(NamedTuple):
    """What an environment shows and takes."""

    shapes: Shapes
    """Its observation groups."""
    horizon: int
    """Actions H that it executes of each chunk."""
    action_dim: int
    """Size A of an action."""

    def example(self) -> dict[str, torch.Tensor]:
        """Observations (1, ...) of zeros, images as bytes."""
        kinds = {1: torch.float32, 3: torch.uint8}
        return {name: torch.zeros(1, *shape, dtype=kinds[len(shape)]) for name, shape in self.shapes.items()}


class FrozenPolicy(ABC):
    """A policy of which nothing learns. Copies of what holds one share it."""

    name: str
    """What it is, for messages."""
    groups: Shapes
    """Observation groups that it sees, those of vectors first."""
    horizon: int
    """Actions H in its chunks."""
    action_dim: int
    """Size A of an action."""
    noise_shape: tuple[int, ...] | None = None
    """Shape of the standard normal noise that it begins with, without the batch's; None if it takes none."""
    differentiable: bool = False
    """Whether gradients pass from its chunks to its noise."""
    action_range: tuple[torch.Tensor, torch.Tensor] | None = None
    """Least and greatest actions (A,) that it was made for, if it says so."""
    obs_scales: Mapping[str, tuple[torch.Tensor, torch.Tensor]] = {}
    """Centre and spread (O) of groups of vectors in the data that it was made of, if it says so."""
    digest: str | None = None
    """SHA-256 of the file that it was read from, if there is one."""
    is_code = False
    """Whether opening it runs a program of its own, for which permission is needed."""
    why_not_exported: str | None = None
    """Why :meth:`twin` gives nothing, if it never does."""

    @abstractmethod
    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A) in the environment's units.

        Args:
            obs: Observation groups (B, ...).
            noise: Initial noise (B, *noise_shape); by default the policy's own.
        """

    def twin(self) -> nn.Module:
        """The same as a module for TorchScript and ONNX: vectors (B, O) side by side and noise (B, H * A) in.

        Raises:
            InputError: If it cannot be exported.
        """
        raise refusal(self.name, self.why_not_exported)

    def __deepcopy__(self, memo: dict) -> FrozenPolicy:
        """This one: it stays as it is, and connections cannot be copied."""
        return self


def refusal(name: str, why: str) -> InputError:
    """Error that says why a policy upon this one cannot be exported."""
    return InputError(
        f"a policy upon {name} cannot be exported: {why}. Valid: a base that is a checkpoint of flow_rl without "
        "cameras. Remedy: play it with evaluate, record or watch, which need no export."
    )


def chunks(output: object, num: int, action_dim: int, name: str) -> torch.Tensor:
    """Chunks (B, H, A) of what a policy gave, which may be flattened, (B, H * A).

    Args:
        output: What it gave.
        num: Number B of observations that it was shown.
        action_dim: Size A of an action.
        name: The policy's, for the message.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(output, torch.Tensor) and output.dim() in (2, 3) and output.shape[0] == num:
        if output.dim() == 3 and output.shape[-1] == action_dim:
            return output.float()
        if output.dim() == 2 and output.shape[-1] % action_dim == 0:
            return output.float().unflatten(-1, (-1, action_dim))
    found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    raise InputError(
        f"{name} gives {found} for {num} observations. Valid: a tensor of chunks ({num}, H, {action_dim}) or "
        f"({num}, H * {action_dim}). Remedy: choose a policy of this environment, or wrap it into a function."
    )
