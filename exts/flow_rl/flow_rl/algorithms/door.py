# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where what environments report enters a learner: pictures are encoded once, and ends are told apart."""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from flow_rl.models import CriticView


class Door:
    """Adds to the environment's observations what a critic sees of images, once for each step."""

    def __init__(self, env: VecEnv, view: CriticView | None, device: str | torch.device, time_limit_is_terminal: bool):
        """Build the door.

        Args:
            env: The environments.
            view: What the critic sees of images; without it, observations pass as they are.
            device: Where learning happens.
            time_limit_is_terminal: Whether a time limit counts as a failure.
        """
        self.task, self.view, self.device = getattr(env, "unwrapped", env), view, device
        self.time_limit_is_terminal = time_limit_is_terminal
        self.missing_final_obs = torch.zeros((), dtype=torch.bool, device=device)
        self.forget()

    def __call__(self, obs: TensorDict) -> TensorDict:
        """Observations (E,) with what the critic sees of images."""
        if self.view is None:
            return obs
        if obs is not self._last[0]:
            self._last = obs, self.view(obs)
        return self._last[1]

    def forget(self) -> None:
        """Take the next observations for new ones; an environment may write them into the same object."""
        self._last: tuple[TensorDict | None, TensorDict | None] = None, None

    def sources(self, groups: list[str]) -> list[str]:
        """The environment's groups from which groups behind the door come."""
        if self.view is None:
            return groups
        own = [group for group in groups if group not in self.view.features.values()]
        return list(dict.fromkeys([*own, *self.view.sources]))

    def ask_for(self, groups: list[str]) -> None:
        """Let an environment of ours report the last observations of these groups; pictures are rendered for it."""
        asked = getattr(self.task, "final_obs_groups", None)
        if asked is not None and not self.time_limit_is_terminal:
            asked.update(self.sources(groups))

    def final_obs(self, extras: dict, groups: list[str]) -> TensorDict | dict:
        """Groups (E,) of the last observations before resets, valid only where an episode ended."""
        obs = {group: extras["final_obs"][group].to(self.device) for group in self.sources(groups)}
        return obs if self.view is None else self.view(obs)

    def ends(self, dones: torch.Tensor, extras: dict) -> tuple[torch.Tensor, torch.Tensor]:
        """Which environments (E,) were terminated, and which were stopped by a time limit that is no failure."""
        dones = dones.bool()
        if self.time_limit_is_terminal or "time_outs" not in extras:
            return dones, torch.zeros_like(dones)
        truncated = extras["time_outs"].to(self.device).bool()
        # The host reports both of an episode that succeeds in its last step. Nothing comes after a success.
        terminated = getattr(self.task, "reset_terminated", None)
        if terminated is not None:
            truncated = truncated & ~terminated.to(self.device)
        if "final_obs" not in extras:
            self.missing_final_obs |= truncated.any()
        return dones & ~truncated, truncated

    def check_final_obs(self) -> None:
        """Complain about time limits without the observations before the reset."""
        if self.missing_final_obs:
            raise RuntimeError(
                "The environment reported extras['time_outs'] without extras['final_obs'], the observations before the "
                "reset. Set env.compute_final_obs=true, or agent.algorithm.time_limit_is_terminal=true to count a time "
                "limit as a failure."
            )
