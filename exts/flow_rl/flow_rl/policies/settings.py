# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of a policy that somebody else may have made."""

from __future__ import annotations

from dataclasses import dataclass, field

from flow_rl.utils.check import require

FIELD = "agent.actor.base."
"""How messages name the fields."""


@dataclass
class BaseSettings:
    """A policy that takes the flow's place and stays as it is."""

    source: str | None = None
    """A checkpoint of flow_rl, a package that flow-rl export wrote, a TorchScript or ONNX file, a Python function
    `module:function`, or a policy server `ws://host:port`; None for a flow of one's own."""

    execute_code: bool = False
    """Whether code of the source may run here, which TorchScript files and Python functions are. Never read from
    checkpoints: whoever plays one says it again."""

    limit: float | None = None
    """Bound on the source's actions, in the environment's units, by which they are normalised; None for what a
    checkpoint or a package says of itself, and 1 of the others."""

    deadline: float = 10.0
    """How long a policy server may take for a reply [s]."""

    keys: dict[str, str] = field(default_factory=dict)
    """How a policy server calls observation groups, where it does not call them as the environment does."""

    prompt: str | None = None
    """Task in words, sent to a policy server as `prompt`."""

    digest: str | None = None
    """SHA-256 of the file behind the source, filled in when it is opened; another file is refused."""

    def check(self) -> None:
        """Raise an InputError unless all are valid."""
        limit, deadline = self.limit, self.deadline
        require(limit is None or limit > 0, FIELD + "limit", limit, "> 0 or null", "use null, the default.")
        require(deadline > 0, FIELD + "deadline", deadline, "seconds > 0", "use 10, the default.")
