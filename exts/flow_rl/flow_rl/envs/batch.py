# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Many Gymnasium environments side by side, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory

Observations = dict[str, np.ndarray]
"""Groups by name, each of shape (E, ...)."""


class Step(NamedTuple):
    """What follows a step of E environments, of which those that ended have begun anew."""

    obs: Observations
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    solved: np.ndarray
    """Whether a success has been reported in the episode, shape (E,)."""
    last: dict[int, Observations]
    """By environment that ended: the observation before its reset, without a leading axis."""


class Batch:
    """Environments of :class:`~flow_rl.envs.wrappers.Chunks` in this process."""

    def __init__(self, make: Callable[[], gym.Env], num_envs: int):
        """Make the environments."""
        self._envs = SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)

    def reset(self, seed: int) -> Observations:
        """Begin everywhere, with seeds that count upwards."""
        return self._envs.reset(seed=seed)[0]

    def step(self, actions: np.ndarray) -> Step:
        """Execute chunks (E, H * A)."""
        obs, rewards, terminated, truncated, infos = self._envs.step(actions)
        solved, last = infos.get("solved", np.zeros_like(terminated)), {}
        for env_id in np.flatnonzero(terminated | truncated):
            solved[env_id] = infos["final_info"]["solved"][env_id]
            last[int(env_id)] = infos["final_obs"][env_id]
        return Step(obs, rewards, terminated, truncated, solved, last)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()


class Workers:
    """The same in several processes, a share of the environments each; observations return through shared memory."""

    def __init__(self, make: Callable[[], gym.Env], num_envs: int, num_workers: int, space: gym.spaces.Dict):
        """Start the processes.

        Args:
            make: Makes an environment.
            num_envs: Number of environments E.
            num_workers: Number of processes, at most E.
            space: Observations of one environment.
        """
        context = multiprocessing.get_context("forkserver")
        self._memory = create_shared_memory(space, n=num_envs, ctx=context)  # goes with the last reference here
        self._obs = read_from_shared_memory(space, self._memory, n=num_envs)
        ends = np.linspace(0, num_envs, num_workers + 1).astype(int).tolist()
        self._shares = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
        self._pipes, self._processes = [], []
        for share in self._shares:
            mine, theirs = context.Pipe()
            arguments = (theirs, make, share, num_envs, space, self._memory)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)

    def reset(self, seed: int) -> Observations:
        """Begin everywhere, with the seeds of :meth:`Batch.reset`."""
        self._ask("reset", [seed + share.start for share in self._shares])
        return self._copy()

    def step(self, actions: np.ndarray) -> Step:
        """Execute chunks (E, H * A)."""
        parts = self._ask("step", [actions[share] for share in self._shares])
        arrays = (np.concatenate(column) for column in zip(*(part[:-1] for part in parts), strict=True))
        last = {
            share.start + env_id: obs
            for share, part in zip(self._shares, parts, strict=True)
            for env_id, obs in part[-1].items()
        }
        return Step(self._copy(), *arrays, last)

    def close(self) -> None:
        """Let the processes end."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()

    def _copy(self) -> Observations:
        return {name: value.copy() for name, value in self._obs.items()}

    def _ask(self, what: str, arguments: Sequence[Any]) -> list[Any]:
        """Let all workers do something at once."""
        index, answers = 0, []
        try:
            for index in range(len(self._pipes)):
                self._pipes[index].send((what, arguments[index]))
            for index in range(len(self._pipes)):
                answers.append(self._pipes[index].recv())
        except (EOFError, ConnectionError):
            raise RuntimeError(
                f"Worker {index} of {len(self._pipes)} has died; its environments are lost. Its last words are above. "
                "Run again, or with --num_workers 0 to have the error here."
            ) from None
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def _work(
    pipe: Connection, make: Callable[[], gym.Env], share: slice, num_envs: int, space: gym.spaces.Dict, memory: Any
) -> None:
    """Serve a share of the environments until the pipe is closed."""
    everyone = read_from_shared_memory(space, memory, n=num_envs)
    batch = None
    while True:
        try:
            what, argument = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            break
        try:
            batch = batch or Batch(make, share.stop - share.start)
            if what == "reset":
                obs, answer = batch.reset(argument), None
            else:
                obs, *answer = batch.step(argument)
            for name, value in obs.items():
                everyone[name][share] = value
            pipe.send(answer)
        except KeyboardInterrupt:
            break
        except Exception as error:
            pipe.send(error)
    if batch is not None:
        batch.close()
