# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""All of a learner that has a state, by its names in checkpoints."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from flow_rl.utils.check import InputError


class Parts(dict[str, nn.Module]):
    """Modules by name, the policy as `actor`.

    What a module may have besides its state:

    - ``LOCAL``: names of tensors that belong to a rank's own environments and are not broadcast. What has no others is
      the rank's own, and other ranks than 0 keep it apart from the common checkpoint.
    - ``adapt(state)``: the state of a checkpoint that was written with another number of environments.
    - ``follow(policy)``: what is a copy of the policy, or sees as it does, takes over another one.
    """

    def train(self, mode: bool = True) -> None:
        """Switch all to learning, or to inference."""
        for module in self.values():
            module.train(mode)

    def follow_actor(self) -> None:
        """Let everything that is a copy of the policy follow it."""
        for name in self:
            self._follow(name)

    def states(self, without: Collection[str] = ()) -> dict[str, dict]:
        """States as checkpoints hold them."""
        return {f"{name}_state_dict": module.state_dict() for name, module in self.items() if name not in without}

    def own(self) -> list[str]:
        """Names of the parts that are a rank's own as a whole."""
        local = {name: set(part.LOCAL) for name, part in self.items() if hasattr(part, "LOCAL")}
        return [name for name, keys in local.items() if keys == set(self[name].state_dict())]

    def load(self, checkpoint: dict, wanted: dict[str, bool], optimizer: torch.optim.Optimizer, strict: bool) -> None:
        """Take over what is wanted; modules are unless it is said otherwise, the optimiser if it is said.

        Parts that the checkpoint lacks begin as copies of its policy, or anew.

        Raises:
            InputError: If a state does not fit.
        """
        parts = {name: module for name, module in self.items() if wanted.get(name, True)}
        if wanted.get("optimizer"):
            parts["optimizer"] = optimizer
        for name, part in parts.items():
            state = checkpoint.get(f"{name}_state_dict")
            if state is None:
                begins = "as a copy of the loaded policy" if self._follow(name) else "anew"
                print(f"[flow_rl] The checkpoint was written without {name}, which begins {begins}.")
                continue
            if adapt := getattr(part, "adapt", None):
                state = adapt(state)
            try:
                part.load_state_dict(state, **({} if part is optimizer else {"strict": strict}))
            except (ValueError, RuntimeError) as error:
                raise InputError(
                    f"The checkpoint's {name} does not fit the settings of agent.algorithm and agent.critic. Repeat "
                    f"the overrides that it was trained with; they are in params/agent.yaml of its run. ({error})"
                ) from error

    def broadcast(self) -> None:
        """Give every rank the parameters and running statistics of rank 0."""
        for module in self.values():
            local = getattr(module, "LOCAL", ())
            for key, tensor in module.state_dict().items():
                if key not in local:
                    torch.distributed.broadcast(tensor, src=0)

    def _follow(self, name: str) -> bool:
        """Let a part follow the policy; returns whether it is one that does."""
        follow = getattr(self.get(name), "follow", None) if name != "actor" else None
        if follow is not None:
            follow(self["actor"])
        return follow is not None
