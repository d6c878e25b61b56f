# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Recording of demonstrations from a scripted expert in a vectorised environment."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal, Protocol

import torch

from flow_rl.evaluation.episodes import has_success
from flow_rl.utils.progress import progress_bar

from .states import scene_state
from .writer import DemoWriter

_PATIENCE = 4
"""Rounds of episodes without a single one to keep after which a collection gives up."""


class Expert(Protocol):
    """What collecting needs from a task's scripted expert.

    Experts whose plans are not always the whole task also have ``rests`` (E,), whether they have done what they meant
    to: the episode then counts as successful, and the ticks in which they rest are not recorded.
    """

    strategy: torch.Tensor
    """Index of the strategy each environment follows, shape (E,)."""
    strategies: tuple[str, ...]
    """Names of the strategies."""

    def act(self) -> torch.Tensor:
        """Return the actions of one control tick, shape (E, A)."""

    def reset(self, env_ids: torch.Tensor) -> None:
        """Begin a new episode in these environments."""


class EpisodeRecorder:
    """Keeps the running episode of every environment on the device."""

    def __init__(self, num_envs: int, max_length: int, device: str | torch.device):
        self._envs = torch.arange(num_envs, device=device)
        self._time = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._max_length = max_length
        self._rows: dict[str, torch.Tensor] = {}

    def add(self, running: torch.Tensor, **values: torch.Tensor) -> None:
        """Store one tick of the environments that are ``running`` (E,), each value of shape (E, ...)."""
        for name, value in values.items():
            if name not in self._rows:
                self._rows[name] = value.new_empty((self._max_length, *value.shape))
            self._rows[name][self._time, self._envs] = value  # the next tick overwrites what does not count
        self._time += running

    def take(self, env_id: int) -> dict[str, Any]:
        """Return the finished episode of one environment as arrays of shape (T, ...) and begin the next one."""
        length = int(self._time[env_id])
        self._time[env_id] = 0
        # copied on a CPU, too: the next episode is written into the same rows while this one waits for its round
        return {name: rows[:length, env_id].to("cpu", copy=True).numpy() for name, rows in self._rows.items()}


@torch.inference_mode()
def collect(
    env: Any,
    expert: Expert,
    writer: DemoWriter,
    num_demos: int,
    *,
    seed: int,
    keep: Literal["successful", "all"] = "successful",
    progress: bool = True,
) -> float | None:
    """Write ``num_demos`` episodes and return the expert's success rate, None where nobody knows what a success is.

    Episodes are written in rounds of one per environment, so that short ones are not preferred over long ones.
    Interrupted, it writes what has finished.

    Args:
        env: Environment that executes one control tick per step; without a termination ``success`` all is written.
        expert: Scripted expert of that environment.
        writer: Open writer.
        num_demos: Number of episodes to write.
        seed: Seed of the environment.
        keep: Whether failed episodes are written, too.
        progress: Whether to show a progress bar.
    """
    recorder = EpisodeRecorder(env.num_envs, int(env.max_episode_length) + 1, env.device)
    waiting: dict[int, dict[int, dict]] = defaultdict(dict)  # round -> environment -> episode
    rounds, written_rounds = [0] * env.num_envs, 0
    nobody = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
    finished, successes = 0, 0  # of whole rounds only: successes finish first
    knows_success = has_success(env)
    keep = keep if knows_success else "all"

    def write_round(index: int) -> None:
        nonlocal finished, successes
        for _, episode in sorted(waiting.pop(index, {}).items()):
            finished, successes = finished + 1, successes + episode.get("success", 0)
            if writer.num_demos < num_demos and (keep == "all" or episode["success"]):
                writer.write(**episode)
                bar.update()

    obs, _ = env.reset(seed=seed)
    expert.reset(torch.arange(env.num_envs, device=env.device))
    starts = {path: value.clone() for path, value in scene_state(env).items()}
    with progress_bar(num_demos, "collect", "demo", show=progress) as bar:
        try:
            while writer.num_demos < num_demos:
                rests = getattr(expert, "rests", nobody).clone()
                actions, strategy = expert.act(), expert.strategy.clone()
                groups = {f"obs/{name}": value for name, value in obs.items()}
                obs, rewards, terminated, truncated, _ = env.step(actions)
                dones = terminated | truncated
                recorder.add(~rests, actions=actions, rewards=rewards, dones=dones, **groups)
                env_ids = dones.nonzero().flatten()
                if len(env_ids) == 0:
                    continue
                success = env.termination_manager.get_term("success") | rests if knows_success else None
                for env_id in env_ids.tolist():
                    episode = _named(recorder.take(env_id))
                    start = {f"initial_state/{path}": value[[env_id]].cpu().numpy() for path, value in starts.items()}
                    facts = {"strategy": expert.strategies[int(strategy[env_id])], "seed": seed, "more": start}
                    facts |= {"success": bool(success[env_id])} if knows_success else {}
                    waiting[rounds[env_id]][env_id] = episode | facts
                    rounds[env_id] += 1
                for path, value in scene_state(env).items():  # of the next episodes, which have begun
                    starts[path][env_ids] = value[env_ids]
                expert.reset(env_ids)
                while len(waiting[written_rounds]) == env.num_envs:
                    write_round(written_rounds)
                    written_rounds += 1
                    if knows_success:
                        bar.set_postfix(expert_success=f"{successes / finished:.0%}", refresh=False)
                if writer.num_demos == 0 and written_rounds >= _PATIENCE:
                    raise RuntimeError(
                        f"The expert succeeded in {successes} of {finished} episodes, so there is nothing to keep. "
                        "Raise --quality, or keep failed episodes with --keep all."
                    )
        except KeyboardInterrupt:
            for index in sorted(waiting):
                write_round(index)
            raise
    return successes / finished if knows_success else None


def _named(episode: dict[str, Any]) -> dict[str, Any]:
    """Gather the entries ``obs/<group>`` of an episode under one key."""
    obs = {name.removeprefix("obs/"): value for name, value in episode.items() if name.startswith("obs/")}
    return {"obs": obs} | {name: value for name, value in episode.items() if not name.startswith("obs/")}
