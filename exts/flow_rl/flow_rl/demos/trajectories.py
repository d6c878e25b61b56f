# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations as trajectories of decisions, for off-policy learners that go on learning from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tensordict import TensorDict

from flow_rl.storage.replay import TrajectoryReplay

from .reader import load_demos


def demonstration_replay(
    path: str | Path,
    like: TrajectoryReplay,
    sources: list[str],
    see: Callable[[TensorDict], TensorDict],
    normalize: Callable[[torch.Tensor], torch.Tensor],
    action_dim: int,
    num_subsets: int,
) -> TrajectoryReplay:
    """Return a replay that holds each successful demonstration once, cut into chunks from its first step on.

    A chunk earns the sum of its steps' rewards. A demonstration ends with its success; one that is longer than the
    replay's trajectories is cut there.

    Args:
        path: File in the layout of :mod:`flow_rl.demos`, with rewards and with all groups of `sources`.
        like: Replay of the learner, whose shapes, types and device this one has.
        sources: Groups of the environment's observations of which the replay's come.
        see: Function from these groups to those of the replay.
        normalize: Function from actions in the environment's units, shape (N, H * A), to normalised ones.
        action_dim: Size A of an action; chunks have as many actions as the replay's `action` has room for.
        num_subsets: Number S of disjoint subsets to draw from.

    Raises:
        DemoError: If the file lacks something, or its observations or actions have other sizes.
    """
    slot = {group: getattr(like, f"obs_{group}")[:1, 0] for group in like.groups}
    widths = {group: slot[group].shape[1] for group in sources if slot[group].dim() == 2}
    sizes = {"action_dim": action_dim, "obs_dim": sum(widths.values())}
    demos = load_demos(path, obs_keys=sources, rewards=True, **sizes)
    horizon, device = like.action.shape[-1] // action_dim, like.reward.device
    replay = TrajectoryReplay(
        TensorDict(slot, batch_size=[1]),
        {"action": tuple(like.action.shape[2:])},
        capacity=demos.num_demos,
        max_length=like.max_length,
        num_subsets=num_subsets,
        balanced=like.balanced,
    )
    vectors = dict(zip(widths, torch.from_numpy(demos.obs).split(list(widths.values()), dim=1), strict=True))
    rows = vectors | {name: torch.from_numpy(images) for name, images in demos.images.items()}
    actions, rewards = torch.from_numpy(demos.actions), torch.from_numpy(demos.rewards)
    first = 0
    for i, steps in enumerate(demos.lengths.tolist()):
        at = torch.arange(0, steps, horizon)
        num = min(len(at), like.max_length)
        seen = first + torch.cat([at, torch.tensor([steps - 1])])[: num + 1]
        obs = see(TensorDict({name: value[seen].to(device) for name, value in rows.items()}, batch_size=[num + 1]))
        for group in like.groups:
            getattr(replay, f"obs_{group}")[i, : num + 1] = obs[group]
        ticks = at[:num, None] + torch.arange(horizon)
        chunks = actions[first + ticks.clamp(max=steps - 1)].flatten(1).to(device)
        replay.action[i, :num] = normalize(chunks).clamp(-1.0, 1.0)
        earned = torch.where(ticks < steps, rewards[first + ticks.clamp(max=steps - 1)], 0.0).sum(dim=1)
        replay.reward[i, :num] = earned.to(device)
        replay.length[i], replay.truncated[i] = num, num < len(at)
        first += steps
    replay.total.copy_(replay.reward.sum(dim=1))
    replay.stamp.fill_(-1)  # none of them is new
    return replay
