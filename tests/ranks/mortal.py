# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An environment that kills the process of the second rank, registered when this module is imported."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import gymnasium as gym

from tests.envs.lines import Line


class Mortal(Line):
    """A point on a line; it dies when the run's second checkpoint is there, unless it has been started again."""

    def step(self, action):
        """Die, or step."""
        second_rank, first_start = os.getenv("RANK") == "1", os.getenv("TORCHELASTIC_RESTART_COUNT") == "0"
        if second_rank and first_start and any(Path("logs").rglob("model_1.pt")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


gym.register("FlowRLTestMortal-v0", Mortal, max_episode_steps=10)
