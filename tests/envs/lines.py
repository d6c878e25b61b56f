# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Small Gymnasium environments of several kinds, registered when this module is imported."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Line(gym.Env):
    """A point on a line that shall come to 1; its action moves it by up to a tenth of the bounds, which are [0, 4].

    Rewards are the steps counted so far, so that sums tell how many steps were executed. It is solved, and over, at 1.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    action_space = spaces.Box(0.0, 4.0, (1,), np.float64)
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(self, render_mode=None, reports="success", dense=False):
        self.render_mode, self.reports, self.dense = render_mode, reports, dense

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.time = self.np_random.uniform(0.0, 0.5), 0
        return self.observe(), {}

    def observe(self):
        return np.array([self.position, self.time])

    def step(self, action):
        assert action.dtype == np.float64 and self.action_space.contains(action)
        self.time += 1
        self.position += 0.05 * float(action[0]) - 0.1
        solved = self.position >= 1.0
        info = {self.reports: solved} if self.reports else {}
        reward = self.position if self.dense else float(self.time)
        return self.observe(), reward, solved, False, info

    def render(self):
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[:, int(np.clip(30 * (self.position + 0.5), 0, 59))] = 255
        return picture


class Seen(Line):
    """The same, through a camera and a vector."""

    observation_space = spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (16, 24, 3), np.uint8),
            "state": spaces.Box(-np.inf, np.inf, (1, 2), np.float32),
            "phase": spaces.Discrete(3),
        }
    )

    def observe(self):
        picture = np.zeros((16, 24, 3), np.uint8)
        picture[3, 5, 1] = self.time
        return {"camera": picture, "state": np.array([[self.position, self.time]], np.float32), "phase": self.time % 3}


class Goal(Line):
    """The same, as a goal space."""

    observation_space = spaces.Dict(
        {
            name: spaces.Box(-np.inf, np.inf, (1,), np.float64)
            for name in ("observation", "achieved_goal", "desired_goal")
        }
    )

    def observe(self):
        return {"observation": np.ones(1), "achieved_goal": np.array([self.position]), "desired_goal": np.ones(1)}


class Buttons(Line):
    """Discrete actions."""

    action_space = spaces.Discrete(2)


class Broken(Line):
    """Raises in its third step."""

    def step(self, action):
        if self.time == 2:
            raise FloatingPointError("the physics exploded")
        return super().step(action)


for kind in (Line, Seen, Goal, Buttons, Broken):
    gym.register(f"FlowRLTest{kind.__name__}-v0", kind, max_episode_steps=10)
gym.register("FlowRLTestEndless-v0", Line)


def act(obs):
    """A policy that goes to the goal as fast as it may; actions in [-1, 1], shape (E, 1)."""
    return np.ones((len(obs["policy"]), 1))
