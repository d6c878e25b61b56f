# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How smoothly actions follow each other."""

from __future__ import annotations

import torch


class Jerk:
    """Mean squared third difference of the actions of episodes, for each number of an action.

    In the environment's units of an action, squared, per control step to the sixth. Actions are counted as they are
    given to the environment, before limits.
    """

    def __init__(self):
        """Begin with nothing seen."""
        self._last: torch.Tensor | None = None

    def add(self, actions: torch.Tensor, counted: torch.Tensor, ended: torch.Tensor) -> None:
        """Take the next actions.

        Args:
            actions: Of one environment step, shape (E, N, A).
            counted: Environments whose episode counts, shape (E,).
            ended: Environments whose episode has ended with these actions, shape (E,).
        """
        if self._last is None:
            self._last = actions.new_full((len(actions), 3, actions.shape[2]), torch.nan)
            self._sum, self._num = actions.new_zeros(2, actions.shape[2], dtype=torch.float64)
        joined = torch.cat((self._last, actions), dim=1)
        squares = joined.diff(n=3, dim=1).square().double()  # not a number where an episode is younger
        squares = torch.where(counted[:, None, None], squares, torch.nan)
        self._sum = self._sum + squares.nansum(dim=(0, 1))
        self._num = self._num + squares.isfinite().sum(dim=(0, 1))
        self._last = torch.where(ended[:, None, None], torch.nan, joined[:, -3:])

    def means(self) -> list[float] | None:
        """Mean of each of the A numbers; None if no episode had four actions."""
        if self._last is None or not bool((self._num > 0).all()):
            return None
        return (self._sum / self._num).tolist()
