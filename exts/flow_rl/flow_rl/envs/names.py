# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Names of Gymnasium environments, their registrations and what learners are told of each."""

from __future__ import annotations

import difflib
import functools
import importlib

import gymnasium as gym

from flow_rl.configs.compose import Settings
from flow_rl.utils.check import InputError
from flow_rl.utils.names import GYM

from .settings import DENSE, SETTINGS
from .wrappers import Chunks, Filmed, Groups, group_spaces


def find_spec(task: str) -> gym.envs.registration.EnvSpec:
    """Return the registration of an environment.

    Raises:
        InputError: If there is none, or the module that shall register it cannot be imported.
    """
    module, _, name = task.removeprefix(GYM).rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"--env {task!r}: module {module!r} cannot be imported ({error}). Valid: gym:<package.module>:<id>, a "
                "module on Python's path that registers the environment. Install its package."
            ) from None
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        near = difflib.get_close_matches(name, gym.registry, n=3)
        raise InputError(
            f"--env {task!r} is not registered ({error}). {f'Did you mean {", ".join(near)}? ' if near else ''}Valid: "
            "gym:<id> of an installed package, or gym:<package.module>:<id> to import the module that registers it."
        ) from None


def make_env(
    task: str,
    horizon: int,
    kwargs: dict,
    max_episode_steps: int | None = None,
    film: tuple[int, int] | None = None,
) -> gym.Env:
    """Make one environment that acts upon chunks and observes groups.

    Args:
        task: Its name, ``gym:<id>``.
        horizon: Actions of a chunk H.
        kwargs: Arguments of its constructor.
        max_episode_steps: Time limit [control steps]; as registered when None.
        film: Width and height of a group of pictures for films; None for none.
    """
    spec = find_spec(task)
    render = {"render_mode": "rgb_array"} if film else {}
    try:
        env = gym.make(spec, max_episode_steps=max_episode_steps, disable_env_checker=True, **render, **kwargs)
    except (gym.error.Error, TypeError) as error:
        raise InputError(f"--env {task!r} cannot be made with env.kwargs={kwargs}: {error}") from None
    env = Groups(Chunks(env, horizon))
    return Filmed(env, film) if film else env


@functools.cache
def agent_settings(task: str) -> tuple[Settings, ...]:
    """Return what learners and pretraining are told of an environment: its groups, then its row of the table."""
    with gym.make(find_spec(task)) as env:
        parts = group_spaces(env.observation_space)
    groups = list(parts)
    seen: Settings = {
        "pretrain": {"obs_keys": groups},
        "learners": {"obs_groups": {"actor": groups, "critic": groups}},
    }
    return seen, SETTINGS.get(find_spec(task).id, DENSE)
