# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Messages of openpi's policy servers: msgpack, in which arrays are maps of their bytes, type and shape.

A server greets each client with a map about itself. Then each observation, a map of arrays, is answered by a map with
`actions` (H, A); instead of an answer a text says what is wrong, and the connection ends. Ours say more in the
greeting: `observations`, `horizon`, `action_dim`, `noise_shape` where noise may be sent along, and `batch`, how many
observations may be sent at once, stacked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require_package

msgpack = require_package("msgspec.msgpack", "msgspec", "serve")

ACTIONS, NOISE, PROMPT = "actions", "noise", "prompt"
"""Keys of messages besides those of observations."""

MAX_BYTES = 2**28
"""Greatest size of a message."""


def pack(message: dict[str, Any]) -> bytes:
    """Bytes of a message of plain values and arrays."""
    return msgpack.encode(message, enc_hook=_encode)


def unpack(data: bytes) -> dict[str, Any]:
    """The message that bytes hold; its arrays own their memory.

    Raises:
        InputError: If it is no map, or an array in it is not one of numbers.
    """
    try:
        message = _decode(msgpack.decode(data))
    except (ValueError, KeyError, TypeError) as error:  # msgspec's own are ValueErrors
        raise InputError(
            f"the message cannot be read: {error}. Valid: msgpack with arrays, as openpi sends."
        ) from error
    if not isinstance(message, dict):
        raise InputError(f"the message is a {type(message).__name__}. Valid: a map of observations.")
    return message


def _encode(value: Any) -> dict[bytes, Any]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        about = {b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
        return {b"__ndarray__": True, **about}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"messages hold no {type(value).__name__}")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if b"__ndarray__" in value:
        return np.frombuffer(value[b"data"], _dtype(value)).reshape(value[b"shape"]).copy()
    if b"__npgeneric__" in value:
        return _dtype(value).type(value[b"data"])
    return {key: _decode(item) for key, item in value.items()}


def _dtype(value: dict[bytes, Any]) -> np.dtype:
    dtype = np.dtype(value[b"dtype"])
    if dtype.kind not in "biuf":
        raise ValueError(f"an array of {dtype}")
    return dtype
