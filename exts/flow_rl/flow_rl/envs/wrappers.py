# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What makes a Gymnasium environment act upon chunks and observe in groups; one environment at a time."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from flow_rl.utils.check import require

VECTOR = "policy"
"""Group of observations that are not a dictionary, as Isaac Lab's tasks call theirs."""
IMAGE = "image"
"""Group of observations that are nothing but a picture."""
FILM = "film"
"""Group of pictures for films."""

_GOAL = {"observation", "achieved_goal", "desired_goal"}
"""Keys of Gymnasium's goal spaces, which belong together."""


def is_image(space: gym.Space) -> bool:
    """Whether a space holds pictures: bytes of shape (H, W, C) or (C, H, W) with 1, 3 or 4 channels."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return False
    return bool({space.shape[0], space.shape[-1]} & {1, 3, 4})


def group_spaces(space: gym.Space) -> dict[str, gym.Space]:
    """Return the parts of an observation space that become groups: the keys of a dictionary, or all of it."""
    if isinstance(space, spaces.Dict) and not set(space.spaces) >= _GOAL:
        return dict(space.spaces)
    return {IMAGE if is_image(space) else VECTOR: space}


class Groups(gym.ObservationWrapper):
    """Observes a dictionary of groups: vectors (O,) as float32, and pictures (C, H, W) as bytes.

    What is neither, such as a goal space or a discrete observation, is flattened as Gymnasium does.
    """

    def __init__(self, env: gym.Env):
        """Wrap an environment."""
        super().__init__(env)
        self._whole = not isinstance(env.observation_space, spaces.Dict)
        self._parts = group_spaces(env.observation_space)
        self._whole |= list(self._parts) == [VECTOR] and self._parts[VECTOR] is env.observation_space
        self.observation_space = spaces.Dict({name: _group_space(name, part) for name, part in self._parts.items()})

    def observation(self, observation: Any) -> dict[str, np.ndarray]:
        """Return the groups of an observation."""
        if self._whole:
            observation = dict.fromkeys(self._parts, observation)
        return {name: _group_value(part, observation[name]) for name, part in self._parts.items()}


def _group_space(name: str, space: gym.Space) -> spaces.Box:
    if is_image(space):
        shape = space.shape if _channels_first(space) else (space.shape[-1], *space.shape[:-1])
        return spaces.Box(0, 255, shape, np.uint8)
    try:
        width = spaces.flatdim(space)
    except (ValueError, NotImplementedError):
        width = 0
    remedy = "wrap the environment so that it observes numbers."
    require(width > 0, f"observation {name!r}", str(space), "a space that spaces.flatdim knows the width of", remedy)
    return spaces.Box(-np.inf, np.inf, (width,), np.float32)


def _group_value(space: gym.Space, value: Any) -> np.ndarray:
    if is_image(space):
        return value if _channels_first(space) else np.moveaxis(value, -1, 0)
    return spaces.flatten(space, value).astype(np.float32)


def _channels_first(space: spaces.Box) -> bool:
    return space.shape[-1] not in (1, 3, 4)


class Chunks(gym.Wrapper):
    """Executes H actions a step and stops where the episode ends; rewards are summed.

    A chunk is a vector (H * A,) of actions in [-1, 1], where the environment's own bounds lie; what lies outside is
    clipped. ``info`` holds nothing but ``solved``: whether the environment has reported a success in this episode, as
    ``info["success"]`` or ``info["is_success"]``.
    """

    def __init__(self, env: gym.Env, horizon: int):
        """Wrap an environment of bounded, continuous actions.

        Raises:
            InputError: If its actions are of another kind.
        """
        super().__init__(env)
        space = env.action_space
        bounded = isinstance(space, spaces.Box) and space.is_bounded()
        valid, remedy = (
            "a Box with bounds, to which -1 and 1 are mapped",
            "choose an environment of continuous actions.",
        )
        require(bounded, "action space", str(space), valid, remedy)
        self._middle = 0.5 * (space.high.astype(np.float64) + space.low)
        self._half = 0.5 * (space.high.astype(np.float64) - space.low)
        self._shape = (horizon, *space.shape)
        self.action_space = spaces.Box(-1.0, 1.0, (int(np.prod(self._shape)),), np.float32)
        self._solved = False

    def reset(self, **options: Any) -> tuple[Any, dict[str, bool]]:
        """Begin an episode."""
        self._solved = False
        return self.env.reset(**options)[0], {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, bool]]:
        """Execute a chunk."""
        total = 0.0
        for single in np.clip(action, -1.0, 1.0).reshape(self._shape):
            single = (self._middle + self._half * single).astype(self.env.action_space.dtype)
            obs, reward, terminated, truncated, info = self.env.step(single)
            total += float(reward)
            self._solved |= bool(success(info))
            if terminated or truncated:
                break
        return obs, total, bool(terminated), bool(truncated), {"solved": self._solved}


def success(info: dict[str, Any]) -> bool | None:
    """Whether an environment reports a success; None if it says nothing of it."""
    return info.get("success", info.get("is_success"))


class Filmed(gym.ObservationWrapper):
    """Observes a picture of itself as well, shape (height, width, 3), as the environment renders it."""

    def __init__(self, env: gym.Env, size: tuple[int, int]):
        """Wrap an environment that observes groups; ``size`` is width and height of the picture."""
        super().__init__(env)
        self._size = size
        picture = spaces.Box(0, 255, (size[1], size[0], 3), np.uint8)
        self.observation_space = spaces.Dict({**env.observation_space.spaces, FILM: picture})

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Add the picture."""
        import cv2

        return {**observation, FILM: cv2.resize(self.env.render(), self._size, interpolation=cv2.INTER_AREA)}
