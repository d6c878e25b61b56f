# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whole trajectories kept on the device, for learning from the past."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import nn


class TrajectoryReplay(nn.Module):
    """The N newest trajectories of E environments, written in place and sampled without asking the host.

    There are N + E slots. Each environment writes its present trajectory into a slot of its own. When the trajectory
    ends, the slot changes places with that of the oldest trajectory in the ring, so that nothing is copied and nothing
    overwritten that is still being written. A trajectory keeps its place in the ring until N others have ended.

    As a module its state travels with checkpoints, trajectories that are being written included.

    Every slot has room for the observations of the longest trajectory and one more, (N + E) * (max_length + 1) in all.
    Images stay bytes, raw, and are kept once for actor and critic: 27,648 bytes for a camera of 96 x 96 pixels.
    """

    NUM_LEVELS = 16
    """Success levels told apart: the rounded undiscounted return, at most 15."""

    def __init__(
        self,
        obs: TensorDict,
        fields: dict[str, tuple[int, ...]],
        *,
        capacity: int,
        max_length: int,
        num_subsets: int = 1,
        balanced: bool = True,
    ):
        """Allocate the buffers.

        Args:
            obs: One step's observations as far as they are kept, batch size (E,).
            fields: Shape of what is kept of a decision, the chunk as `action` among it.
            capacity: Number N of complete trajectories, at least E.
            max_length: Steps after which a trajectory is cut and another one begun.
            num_subsets: Number S of disjoint subsets that :meth:`sample` can draw from, by place in the ring.
            balanced: Whether every success level is drawn equally often; otherwise every step is.
        """
        super().__init__()
        num_envs, device = obs.batch_size[0], obs[next(iter(obs.keys()))].device
        if capacity < num_envs:
            raise ValueError(f"capacity = {capacity} must hold one trajectory of each of the {num_envs} environments.")
        self.capacity, self.max_length, self.balanced = capacity, max_length, balanced
        self.groups, self.fields = list(obs.keys()), list(fields)
        num_slots = capacity + num_envs

        def zeros(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> None:
            self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=device))

        for name, group in obs.items():
            zeros(f"obs_{name}", num_slots, max_length + 1, *group.shape[1:], dtype=group.dtype)
        for name, shape in fields.items():
            zeros(name, num_slots, max_length, *shape)
        zeros("reward", num_slots, max_length)
        zeros("total", num_slots)
        for name in ("length", "stamp"):
            zeros(name, num_slots, dtype=torch.long)
        zeros("truncated", num_slots, dtype=torch.bool)
        zeros("step", num_envs, dtype=torch.long)
        zeros("head", dtype=torch.long)
        zeros("clock", dtype=torch.long)
        # The last place of the ring takes what has nowhere to go, so that writing needs no condition.
        self.register_buffer("ring", torch.arange(capacity + 1, device=device))
        self.register_buffer("slot", torch.arange(capacity, num_slots, device=device))
        self.LOCAL = set(self.state_dict())  # each rank keeps its own

        subsets = torch.arange(capacity, device=device) % num_subsets
        members = subsets == torch.arange(num_subsets, device=device).unsqueeze(-1)
        # The last row is the set of all.
        self.register_buffer("subsets", torch.cat([members, torch.ones_like(members[:1])]), persistent=False)

    @property
    def num_bytes(self) -> int:
        """Size of the buffers on the device."""
        return sum(buffer.nbytes for buffer in self.buffers())

    """
    Writing.
    """

    def begin_step(self, obs: TensorDict, **values: torch.Tensor) -> None:
        """Keep observations (E,) and the fields (E, ...) of the decisions made there."""
        self._write_obs(obs, self.step)
        for name in self.fields:
            getattr(self, name)[self.slot, self.step] = values[name]

    def end_step(
        self,
        reward: torch.Tensor,
        terminated: torch.Tensor,
        truncated: torch.Tensor,
        next_obs: TensorDict | dict,
        final_obs: TensorDict | dict,
    ) -> None:
        """Keep what followed; complete trajectories enter the ring.

        Args:
            reward: Rewards, shape (E,).
            terminated: Whether the episode ended for good, shape (E,).
            truncated: Whether it was stopped but could have gone on, shape (E,).
            next_obs: Observations (E,) that follow, after a reset where the episode ended.
            final_obs: Observations (E,) before the reset, read only where `truncated`.
        """
        self.reward[self.slot, self.step] = reward
        self.total[self.slot] = torch.where(self.step == 0, reward, self.total[self.slot] + reward)
        ended = terminated | truncated
        cut = (self.step + 1 == self.max_length) & ~ended
        done = ended | cut
        follow = {
            group: torch.where(_like(truncated, next_obs[group]), final_obs[group], next_obs[group])
            for group in self.groups
        }
        self._write_obs(follow, self.step + 1)
        self.length[self.slot] = torch.where(done, self.step + 1, 0)
        self.truncated[self.slot] = truncated | cut
        self.stamp[self.slot] = self.clock
        # The n-th environment that is done takes the n-th oldest place of the ring.
        place = torch.where(done, (self.head + done.cumsum(0) - 1) % self.capacity, self.capacity)
        oldest = self.ring[place]
        self.ring[place] = self.slot
        self.slot.copy_(torch.where(done, oldest, self.slot))
        self.head.copy_((self.head + done.sum()) % self.capacity)
        self.step.copy_(torch.where(done, 0, self.step + 1))

    def align(self, episode_steps: torch.Tensor) -> None:
        """Drop unfinished trajectories of environments that are not at their step, as after a restart."""
        self.step.mul_(self.step == episode_steps.to(self.step.device))

    """
    Reading.
    """

    @torch.no_grad()
    def prepare(self, *windows: int) -> None:
        """Fix what is sampled until the next call, in windows of these sizes.

        Trajectories completed since the last call are the newest.
        """
        slots = self.ring[:-1]
        length, level = self.length[slots].double(), self._level(self.total[slots])
        newest = self.stamp[slots] == self.clock
        self.cumulative = {}
        for window in windows:
            places = torch.where(length > 0, length + window - 1, 0.0)  # where a window may begin
            weights = [self._weights(places * mask * self.subsets, level) for mask in (torch.ones_like(newest), newest)]
            # Where a subset or the newest rollout holds nothing yet, take the next larger set.
            old = torch.where(weights[0].sum(-1, keepdim=True) > 0, weights[0], weights[0][-1])
            new = torch.where(weights[1].sum(-1, keepdim=True) > 0, weights[1], old)
            # the second half draws from successes alone
            self.cumulative[window] = torch.stack([old, new, old * (level > 0), new * (level > 0)]).cumsum(dim=-1)
        self.clock += 1

    def sample(
        self, num: int, window: int, *, new_fraction: float, split: bool = True, successes: bool = False
    ) -> TensorDict:
        """Windows of successive steps; every step is equally likely to be in one, or every step of a success level.

        Returns:
            Batch size (S, num), or (1, num) without `split`: `obs` (window + 1 steps), the decisions' fields, `reward`,
            `terminated`, `truncated`, and `valid`, which is false for places of the window outside the trajectory.
            A trajectory belongs to the subset that is the remainder by S of its place in the ring.

        Args:
            num: Number of windows from each subset.
            window: Steps in a window, one of the sizes that :meth:`prepare` was given.
            new_fraction: Share of windows from the newest trajectories.
            split: Whether to draw from each of the S disjoint subsets, or from all trajectories alike.
            successes: Whether to draw only from trajectories with a success; without any, nothing is `valid`.
        """
        num_new = round(num * new_fraction)
        cumulative = self.cumulative[window].chunk(2)[successes]
        cumulative = cumulative[:, :-1] if split else cumulative[:, -1:]
        place = torch.cat([_draw(cumulative[0], num - num_new), _draw(cumulative[1], num_new)], dim=-1)
        slot = self.ring[place].unsqueeze(-1)  # (S, num, 1)
        length = self.length[slot]
        start = (torch.rand(slot.shape, device=slot.device) * (length + window - 1)).long() - (window - 1)
        index = start + torch.arange(window + 1, device=slot.device)  # (S, num, window + 1)
        valid, last = (index >= 0) & (index < length), index == length - 1
        if successes:
            valid &= self._level(self.total[slot]) > 0
        truncated = self.truncated[slot]
        step, follow = index[..., :-1].clamp(0, self.max_length - 1), index.clamp(0, self.max_length)
        obs = {group: getattr(self, f"obs_{group}")[slot, follow] for group in self.groups}
        return TensorDict(
            {
                "obs": TensorDict(obs, batch_size=index.shape),
                **{name: getattr(self, name)[slot, step] for name in self.fields},
                "reward": self.reward[slot, step],
                "terminated": (last & ~truncated)[..., :-1],
                "truncated": (last & truncated)[..., :-1],
                "valid": valid[..., :-1],
            },
            batch_size=place.shape,
        )

    def statistics(self) -> dict[str, torch.Tensor]:
        """Number of complete trajectories, share of them with a success, and the least and greatest return seen."""
        slots = self.ring[:-1]
        complete = self.length[slots] > 0
        success = complete & (self._level(self.total[slots]) > 0)
        return {
            "replay_trajectories": complete.sum(),
            "replay_success": success.sum() / complete.sum().clamp(min=1),
            "min_return": torch.where(complete, self.total[slots], torch.inf).min(),
            "max_return": torch.where(complete, self.total[slots], -torch.inf).max(),
        }

    def ages(self, new_fraction: float) -> dict[str, torch.Tensor]:
        """How old what :meth:`sample` draws from all trajectories is, in calls of :meth:`prepare`.

        The mean, and the shares that come from the newest trajectories and from those that are eight or more behind.
        """
        chances = self.cumulative[1][:2, -1].diff(dim=-1, prepend=self.cumulative[1].new_zeros(2, 1))
        chances = chances / chances.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        share = (1.0 - new_fraction) * chances[0] + new_fraction * chances[1]
        age = self.clock - 1 - self.stamp[self.ring[:-1]]
        return {
            "batch_age": (share * age).sum(),
            "batch_new": (share * (age == 0)).sum(),
            "batch_old": (share * (age >= 8)).sum(),
        }

    def adapt(self, state: dict) -> dict:
        """State of a checkpoint; a replay of other sizes begins anew."""
        own = self.state_dict()
        if all(key in state and state[key].shape == value.shape for key, value in own.items()):
            return state
        print("[flow_rl] The checkpoint's replay has other sizes and begins anew.")
        return own

    """
    Details.
    """

    def _write_obs(self, obs: TensorDict | dict, step: torch.Tensor) -> None:
        for group in self.groups:
            getattr(self, f"obs_{group}")[self.slot, step] = obs[group]

    def _level(self, total: torch.Tensor) -> torch.Tensor:
        return total.round().long().clamp(0, self.NUM_LEVELS - 1)

    def _weights(self, places: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Probability weights (S + 1, N) of trajectories with so many eligible places (S + 1, N)."""
        if not self.balanced:
            return places
        levels = level.expand(places.shape)
        total = places.new_zeros(places.shape[0], self.NUM_LEVELS).scatter_add_(1, levels, places)
        return places / total.gather(1, levels).clamp(min=1.0)


def _draw(cumulative: torch.Tensor, num: int) -> torch.Tensor:
    """Indices (S, num) with probabilities that add up to rows (S, N)."""
    mark = torch.rand(cumulative.shape[0], num, dtype=cumulative.dtype, device=cumulative.device)
    index = torch.searchsorted(cumulative, mark * cumulative[:, -1:], right=True)
    return index.clamp(max=cumulative.shape[1] - 1)


def _like(mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Mask (E,) with as many dimensions as values (E, ...)."""
    return mask.view(-1, *[1] * (values.dim() - 1))
