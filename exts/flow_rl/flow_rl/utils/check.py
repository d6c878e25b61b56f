# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Errors about settings: one message with the field, the value, the valid choices and the remedy."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class InputError(ValueError):
    """What a user asked for is not possible; command lines show its message alone, of other errors the traceback."""


def require(condition: bool, field: str, value: object, valid: str, remedy: str) -> None:
    """Raise an InputError that names the field, the value, what is valid and the remedy unless the condition holds."""
    if not condition:
        raise InputError(f"{field} = {value!r} is not valid. Valid: {valid}. Remedy: {remedy}")


def require_choice(field: str, value: object, choices: Iterable[object]) -> None:
    """Raise unless the value is one of the choices."""
    choices = tuple(choices)
    listed = ", ".join(repr(choice) for choice in choices)
    require(value in choices, field, value, listed, f"set {field} to one of them.")


def require_package(module: str, package: str, extra: str) -> ModuleType:
    """Import a module that comes with one of the package's extras, or raise an InputError that names the extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, and this needs it. Install it: pip install {package}, or everything that "
            f"belongs to it with flow-rl[{extra}]."
        ) from error


def require_device(field: str, value: str | torch.device) -> None:
    """Raise unless the device exists on this machine."""
    import torch  # here, because a robot's computer checks its settings without it

    try:
        device = torch.device(value)
    except RuntimeError:
        device = None
    available = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    known = device is not None and (
        device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count())
    )
    require(known, field, str(value), f"{', '.join(available)} on this machine", f"set {field}={available[-1]}.")
