# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy for whoever speaks openpi's protocol; see :mod:`flow_rl.policies.protocol`."""

from __future__ import annotations

import asyncio
import http
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from flow_rl.utils.check import InputError, require_package
from flow_rl.utils.listening import TokenCheck

from .frozen import FrozenPolicy
from .protocol import ACTIONS, MAX_BYTES, NOISE, pack, unpack

websockets = require_package("websockets", "websockets", "serve")

MAX_BATCH = 256
"""Most observations in one message."""


class PolicyServer:
    """Answers observations with chunks, one after the other, whoever asks."""

    def __init__(
        self,
        policy: FrozenPolicy,
        *,
        deadline: float = 10.0,
        noise: str = "random",
        device: str | torch.device = "cpu",
        facts: dict[str, Any] | None = None,
        token: str | None = None,
    ):
        """Create the server.

        Args:
            policy: What is offered.
            deadline: How long a client waits for an answer at most [s].
            noise: What the policy begins with where a client sends no noise, "random" or "zero".
            device: Where it computes.
            facts: Plain values to greet clients with besides what the policy says of itself.
            token: What clients have to know; None for nothing.
        """
        self.policy, self.deadline, self.noise, self.device = policy, deadline, noise, device
        kinds = {1: "float32", 3: "uint8"}
        self.metadata = (facts or {}) | {
            "observations": {
                name: {"shape": list(shape), "dtype": kinds[len(shape)]} for name, shape in policy.groups.items()
            },
            "horizon": policy.horizon,
            "action_dim": policy.action_dim,
            "noise_shape": policy.noise_shape and list(policy.noise_shape),
            "batch": MAX_BATCH,
        }
        check = TokenCheck(token) if token else lambda connection, request: None
        self._process_request = lambda *both: _answer_health_check(*both) or check(*both)
        self._worker = ThreadPoolExecutor(1, "policy")

    async def run(self, host: str, port: int, listening: Callable[[int], None]) -> None:
        """Serve for ever.

        Args:
            host: Address to listen at.
            port: Port to listen at; 0 for any that is free.
            listening: Called with the port once clients may come.
        """
        from websockets.asyncio.server import serve

        options = {"compression": None, "max_size": MAX_BYTES, "process_request": self._process_request}
        async with serve(self._talk, host, port, **options) as server:
            listening(server.sockets[0].getsockname()[1])
            await asyncio.Event().wait()  # Python's serve_forever would not end before the last client has left

    def answer(self, message: dict[str, Any]) -> np.ndarray:
        """Chunks (H, A) of an observation, or (B, H, A) of B stacked ones.

        Raises:
            InputError: If keys, shapes or values are not those that the policy takes.
        """
        obs, noise, batched = self._read(message)
        with torch.inference_mode():
            chunks = self.policy(obs, noise).float().cpu().numpy()
        return chunks if batched else chunks[0]

    def _read(self, message: dict[str, Any]) -> tuple[dict[str, torch.Tensor], torch.Tensor | None, bool]:
        """Observations (B, ...), noise (B, ...) if there is any, and whether they came stacked."""
        groups, shape = self.policy.groups, self.policy.noise_shape
        expected = dict(groups) | ({NOISE: list(shape)} if shape is not None else {})
        given = {key for key in message if not (key == NOISE and shape is None)}  # as servers that know no noise do
        missing, unknown = sorted(set(groups) - given), sorted(map(str, given - set(expected)))
        if missing or unknown:
            raise InputError(
                f"keys differ: the client sends {', '.join(sorted(map(str, message))) or 'nothing'}; the policy takes "
                f"{', '.join(groups)}{', and noise if you like' * (shape is not None)}. Missing: "
                f"{', '.join(missing) or 'nothing'}. Unknown: {', '.join(unknown) or 'nothing'}."
            )
        values = {key: _array(key, message[key], len(expected[key]) == 3) for key in expected if key in message}
        first = next(iter(groups))
        batched = values[first].ndim > len(groups[first])
        num = values[first].shape[0] if batched else 1
        lead = (num,) if batched else ()
        for key, value in values.items():
            size = list(expected[key])
            turned = [*size[1:], size[0]]  # height and width first, as cameras give them
            if len(size) == 3 and list(value.shape) == [*lead, *turned] and turned != size:
                values[key] = np.moveaxis(value, -1, -3)
            elif list(value.shape) != [*lead, *size]:
                stacked = (
                    f"({', '.join(map(str, size))}), or ({', '.join(map(str, ['B', *size]))}) of up to {MAX_BATCH}"
                )
                raise InputError(f"shapes differ: the client sends {key} {value.shape}; the policy takes {stacked}.")
        if not 1 <= num <= MAX_BATCH:
            raise InputError(f"{num} observations at once. Valid: 1 to {MAX_BATCH}. Remedy: send them in parts.")
        tensors = {
            key: torch.from_numpy(np.ascontiguousarray(value)).to(self.device).reshape(num, *expected[key])
            for key, value in values.items()
        }
        noise = tensors.pop(NOISE, None)
        if noise is None and shape is not None and self.noise == "zero":
            noise = torch.zeros(num, *shape, device=self.device)
        return tensors, noise, batched

    async def _talk(self, connection: Any) -> None:
        """Greet a client, and answer until it leaves or something is wrong."""
        await connection.send(pack(self.metadata))
        total = None
        async for message in connection:
            start = time.perf_counter()
            try:
                reply = await asyncio.wait_for(self._reply(message), self.deadline)
            except Exception as error:
                text, code = self._complaint(error)
                print(f"[flow_rl] {connection.remote_address[0]}: {text}")
                await connection.send(text)
                await connection.close(code, "the message before says why")
                return
            if total is not None:
                reply["server_timing"]["prev_total_ms"] = total
            await connection.send(pack(reply))
            total = 1e3 * (time.perf_counter() - start)

    async def _reply(self, message: bytes | str) -> dict[str, Any]:
        """The map that answers a message."""
        if isinstance(message, str):
            raise InputError("the client sends a text. Valid: msgpack with arrays, as openpi sends.")

        def infer() -> dict[str, Any]:
            begin = time.perf_counter()
            chunk = self.answer(unpack(message))
            return {ACTIONS: chunk, "server_timing": {"infer_ms": 1e3 * (time.perf_counter() - begin)}}

        return await asyncio.get_running_loop().run_in_executor(self._worker, infer)

    def _complaint(self, error: Exception) -> tuple[str, int]:
        """Text for the client, and the code with which the connection ends."""
        codes = websockets.frames.CloseCode
        if isinstance(error, InputError):
            return str(error), codes.INVALID_DATA
        if isinstance(error, TimeoutError):
            return f"no answer within {self.deadline:g} s, the server's --deadline.", codes.TRY_AGAIN_LATER
        traceback.print_exception(error)
        return (
            f"the policy failed ({type(error).__name__}: {error}); the server's log says where.",
            codes.INTERNAL_ERROR,
        )


def _array(key: str, value: Any, is_picture: bool) -> np.ndarray:
    """A value as an array of bytes or of finite floats."""
    try:
        array = np.asarray(value)
        if not is_picture:
            array = array.astype(np.float32)
    except (TypeError, ValueError):
        array = np.array(None)
    kind = "pictures of bytes, uint8" if is_picture else "numbers"
    if array.dtype != (np.uint8 if is_picture else np.float32):
        found = array.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise InputError(f"{key} is of type {found}. Valid: {kind}.")
    if not is_picture and not np.isfinite(array).all():
        raise InputError(f"{key} is not finite. Valid: numbers that are.")
    return array


def _answer_health_check(connection: Any, request: Any) -> Any:
    """As openpi's servers answer those who only ask whether they live; None for all others."""
    return connection.respond(http.HTTPStatus.OK, "OK\n") if request.path == "/healthz" else None
