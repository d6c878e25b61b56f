# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy behind a server that speaks openpi's protocol; see :mod:`flow_rl.policies.protocol`."""

from __future__ import annotations

import http
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from flow_rl.utils.check import InputError, require, require_package
from flow_rl.utils.listening import TOKEN

from .frozen import FrozenPolicy, Interface, Shapes, chunks
from .protocol import ACTIONS, MAX_BYTES, NOISE, PROMPT, pack, unpack
from .settings import FIELD, BaseSettings

require_package("websockets", "websockets", "serve")


class ServerPolicy(FrozenPolicy):
    """What a policy server answers; observations are sent one by one unless it says that it takes several at once."""

    why_not_exported = "it lives on a server"

    def __init__(self, settings: BaseSettings, interface: Interface):
        """Connect, and learn from the greeting, or by asking once, what the policy is like."""
        self._address = settings.source.replace("openpi:", "ws://") if "//" not in settings.source else settings.source
        self.name = f"policy server {self._address.partition('?')[0]}"  # what is written into records has no token
        self._deadline, self._prompt = settings.deadline, settings.prompt
        unknown = sorted(set(settings.keys) - set(interface.shapes))
        valid = f"groups of agent.obs_groups.actor, {', '.join(interface.shapes)}"
        require(not unknown, FIELD + "keys", unknown, valid, "write {group: key of the server}.")
        self._keys = {group: settings.keys.get(group, group) for group in interface.shapes}
        self._connection, greeting = self._connect()
        self.action_dim = interface.action_dim
        self._batch, self._announces = int(greeting.get("batch") or 1), "observations" in greeting
        try:
            self.groups = self._groups(greeting, interface)
            self.horizon = greeting["horizon"] if self._announces else self._probe(interface)
            self.action_dim = greeting.get("action_dim", self.action_dim)
            shape = greeting.get("noise_shape")
            self.noise_shape = shape and tuple(map(int, shape))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.name} greets with {greeting}, which cannot be understood ({error}).") from error

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A), on the CPU."""
        values = {self._keys[group]: self._array(obs[group]) for group in self.groups}
        if noise is not None:
            values[NOISE] = noise.detach().cpu().numpy()
        num = len(next(iter(values.values())))
        if self._batch == 1:
            parts = [self._ask({key: value[i] for key, value in values.items()})[None] for i in range(num)]
        else:
            starts = range(0, num, self._batch)
            parts = [self._ask({key: value[i : i + self._batch] for key, value in values.items()}) for i in starts]
        return chunks(torch.from_numpy(np.concatenate(parts)), num, self.action_dim, self.name)

    def _connect(self) -> tuple[Any, dict[str, Any]]:
        """A connection and the server's greeting."""
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        options = {"compression": None, "max_size": MAX_BYTES, "open_timeout": self._deadline}
        if os.environ.get(TOKEN):
            options["additional_headers"] = {"Authorization": f"Api-Key {os.environ[TOKEN]}"}  # as openpi's clients do
        try:
            connection = connect(self._address, **options)
            greeting = connection.recv(timeout=self._deadline)
        except InvalidStatus as error:
            if error.response.status_code != http.HTTPStatus.UNAUTHORIZED:
                raise InputError(f"{self.name} answers with {error}. Remedy: see what listens there.") from error
            raise InputError(
                f"{FIELD}source = {self._address!r} is not valid: the server wants a token. Remedy: set {TOKEN} to the "
                "one that it printed when it started."
            ) from error
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            raise InputError(
                f"{FIELD}source = {self._address!r}: no policy server answers there ({error}). Remedy: start one, for "
                "instance with flow-rl serve, and name its host and port."
            ) from error
        if isinstance(greeting, str):
            raise InputError(f"{self.name} refuses: {greeting}")
        return connection, unpack(greeting)

    def _ask(self, message: dict[str, Any]) -> np.ndarray:
        """The actions that answer a message."""
        from websockets.exceptions import ConnectionClosed

        if self._prompt is not None:
            message = message | {PROMPT: self._prompt}
        try:
            self._connection.send(pack(message))
            reply = self._connection.recv(timeout=self._deadline)
        except TimeoutError as error:
            self._connection.close()  # or the late reply would be taken for that of another question
            raise InputError(
                f"{self.name} did not answer within {self._deadline:g} s. Remedy: see what keeps it, or raise "
                f"{FIELD}deadline."
            ) from error
        except (ConnectionClosed, OSError) as error:
            raise InputError(
                f"{self.name} is gone ({error}). Remedy: start it again, and go on from the last checkpoint."
            ) from error
        if isinstance(reply, str):
            raise InputError(f"{self.name} refuses: {reply}")
        actions = unpack(reply).get(ACTIONS)
        valid = isinstance(actions, np.ndarray) and actions.dtype.kind == "f" and bool(np.isfinite(actions).all())
        if not valid:
            raise InputError(f"{self.name} answers without {ACTIONS} that are finite numbers. Remedy: see its log.")
        return actions

    def _groups(self, greeting: dict[str, Any], interface: Interface) -> Shapes:
        """Groups that the server asks for, by the environment's names; all of them if it does not say."""
        if not self._announces:
            return interface.shapes
        names = {key: group for group, key in self._keys.items()}
        wanted = {names.get(key, key): list(about["shape"]) for key, about in greeting["observations"].items()}
        return dict(sorted(wanted.items(), key=lambda item: len(item[1])))

    def _probe(self, interface: Interface) -> int:
        """Length of the chunk that answers observations of zeros."""
        return self(interface.example()).shape[1]

    def _array(self, value: torch.Tensor) -> np.ndarray:
        """Values of a group as the server takes them; pictures (B, H, W, 3) unless it says otherwise."""
        array = value.detach().cpu().numpy()
        if array.ndim == 4:
            return array if self._announces else np.moveaxis(array, 1, -1)
        return array.astype(np.float32)
