# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where our servers listen, and who may talk to them: this machine alone, or whoever has the token.

A token travels as ``?token=...`` in an address, as the cookie that a browser gets for it, or as the header that
openpi's clients send. Nothing is encrypted: whoever can read the network between can read it, too.
"""

from __future__ import annotations

import errno
import hmac
import http
import ipaddress
import os
import secrets
import socket
import urllib.parse
from collections.abc import Callable
from typing import Any

from .check import InputError, require

LOCAL = "127.0.0.1"
"""Where servers listen unless told otherwise."""

TOKEN = "FLOW_RL_TOKEN"
"""Environment variable with the token of a server of one's own choice, which our client sends, too."""

COOKIE = "flow_rl_token"


def token_for(host: str, port: int) -> str | None:
    """What clients have to know of a server at an address, None if it can only be reached from this machine.

    Raises:
        InputError: If the address is not one of this machine's, or the port is taken.
    """
    require(0 <= port < 2**16, "--port", port, "0 to 65535", "leave it out for the default.")
    valid = "an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
    try:
        require(bool(host), "--host", host, valid, f"leave it out for {LOCAL}.")
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        raise InputError(f"--port = {port} is not yours to use. Valid: 1024 to 65535. Remedy: pass another.") from None
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise InputError(
                f"--port = {port} is not valid. Valid: a port that nobody uses. Remedy: pass another, such as "
                f"--port {port + 1}."
            ) from None
        raise InputError(f"--host = {host!r} is not valid. Valid: {valid}. Remedy: leave it out for {LOCAL}.") from None
    if ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        return None
    return os.environ.get(TOKEN) or secrets.token_urlsafe(16)


def url(scheme: str, host: str, port: int, token: str | None) -> str:
    """Address at which clients find a server, on other machines, too, if it listens at all addresses."""
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}" + (f"/?token={urllib.parse.quote(token, safe='')}" if token else "")


class TokenCheck:
    """The ``process_request`` of a server of websockets' that only answers those who know a token."""

    def __init__(self, token: str, then: Callable[[Any, Any], Any] = lambda connection, request: None):
        """Create the check.

        Args:
            token: What clients have to know.
            then: What is asked next: the ``process_request`` without a token.
        """
        self._token, self._then = token.encode(), then

    def __call__(self, connection: Any, request: Any) -> Any:
        """Response to a request, None where the handshake of a websocket may go on."""
        words = (word.encode(errors="surrogateescape") for word in self._words(request))  # headers may hold any byte
        if not any(hmac.compare_digest(word, self._token) for word in words):
            text = "This server wants its token: open the address that it printed, with ?token=... at its end.\n"
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
        response = self._then(connection, request)
        if response is not None:
            value = urllib.parse.quote(self._token, safe="")
            response.headers["Set-Cookie"] = f"{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/"
        return response

    @staticmethod
    def _words(request: Any) -> list[str]:
        """What a request says that may be the token."""
        words = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query).get("token", [])
        for header in request.headers.get_all("Authorization"):
            words.append(header.partition(" ")[2])
        for header in request.headers.get_all("Cookie"):
            for part in header.split(";"):
                name, _, value = part.strip().partition("=")
                words += [urllib.parse.unquote(value)] if name == COOKIE else []
        return words
