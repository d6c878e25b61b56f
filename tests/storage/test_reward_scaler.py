# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The running reward scale is the deviation of the discounted return."""

import pytest
import torch

from flow_rl.storage.reward_scaler import RewardScaler


def discounted(rewards, dones, gamma):
    y, out = torch.zeros(rewards.shape[1]), []
    for r, d in zip(rewards, dones, strict=True):
        y = gamma * y + r
        out.append(y)
        y = y * ~d
    return torch.stack(out)


def test_scale_is_the_deviation_of_discounted_returns():
    """Over two rollouts, with resets, the statistics are those of all returns so far."""
    torch.manual_seed(0)
    scaler = RewardScaler(num_envs=8, gamma=0.9)
    rewards, dones = torch.rand(20, 8), torch.rand(20, 8) < 0.2
    for part in (slice(0, 10), slice(10, 20)):
        scaler.update(rewards[part], dones[part])
    expected = discounted(rewards, dones, 0.9).std(unbiased=False)
    torch.testing.assert_close(scaler.scale, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(scaler(rewards), rewards / expected, rtol=1e-4, atol=0)


def test_rewards_stay_bounded_before_anything_was_earned():
    """Sparse tasks begin with rewards of zero, whose scale is nearly zero: nothing explodes."""
    scaler = RewardScaler(num_envs=2, gamma=0.9)
    scaler.update(torch.zeros(5, 2), torch.zeros(5, 2, dtype=torch.bool))
    assert scaler(torch.zeros(3)).tolist() == [0.0] * 3
    assert scaler(torch.ones(3)).tolist() == [10.0] * 3


def test_state_goes_into_checkpoints():
    """A scaler that takes over another's state goes on exactly as that one."""
    torch.manual_seed(0)
    first, second = RewardScaler(4, 0.9), RewardScaler(4, 0.9)
    never = torch.zeros(5, 4, dtype=torch.bool)
    first.update(torch.rand(5, 4), never)
    second.load_state_dict(first.state_dict())
    more = torch.rand(5, 4)
    first.update(more, never)
    second.update(more, never)
    assert float(first.scale) == pytest.approx(float(second.scale), abs=0)
