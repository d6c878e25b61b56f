# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Generalised advantages against returns worked out by hand."""

import pytest
import torch

from flow_rl.objectives import explained_variance, generalized_advantages, lambda_returns

GAMMA, LAM = 0.5, 0.5


def advantages(rewards, values, last, terminated=None, truncated=None, terminal_values=None):
    column = lambda xs: torch.tensor(xs).unsqueeze(-1)  # noqa: E731
    none, zero = [False] * len(rewards), [0.0] * len(rewards)
    return generalized_advantages(
        column(rewards),
        column(values),
        torch.tensor([last]),
        column(terminated or none),
        column(truncated or none),
        column(terminal_values or zero),
        GAMMA,
        LAM,
    ).squeeze(-1)


def test_an_episode_that_goes_on():
    """delta_1 = 2 + .5 * 8 - 4 = 2; delta_0 = 1 + .5 * 4 - 2 = 1; A_0 = 1 + .25 * 2 = 1.5."""
    assert advantages([1.0, 2.0], [2.0, 4.0], 8.0).tolist() == [1.5, 2.0]


def test_termination_earns_nothing_more():
    """The terminated step ignores what follows: delta_0 = 1 - 2 = -1, and no credit crosses."""
    assert advantages([1.0, 2.0], [2.0, 4.0], 8.0, terminated=[True, False]).tolist() == [-1.0, 2.0]


def test_truncation_is_worth_its_own_last_observation():
    """delta_0 = 1 + .5 * 10 - 2 = 4 with the terminal value 10, not 1 + .5 * 4 - 2 = 1 with the next episode's."""
    out = advantages([1.0, 2.0], [2.0, 4.0], 8.0, truncated=[True, False], terminal_values=[10.0, 0.0])
    assert out.tolist() == [4.0, 2.0]


def test_truncation_at_the_last_step():
    """The last bootstrap, too, is the terminal observation's."""
    out = advantages([1.0], [2.0], 8.0, truncated=[True], terminal_values=[10.0])
    assert out.tolist() == [4.0]


def test_termination_wins_over_truncation():
    """Success on the last allowed step is an end, not an interruption."""
    out = advantages([1.0], [2.0], 8.0, terminated=[True], truncated=[True], terminal_values=[10.0])
    assert out.tolist() == [-1.0]


def test_monte_carlo_limit():
    """With lam = 1 the advantage is the discounted return minus the value."""
    torch.manual_seed(0)
    rewards, values = torch.rand(5, 3), torch.rand(5, 3)
    never = torch.zeros(5, 3, dtype=torch.bool)
    out = generalized_advantages(rewards, values, torch.zeros(3), never, never, torch.zeros(5, 3), 0.9, 1.0)
    returns = sum(0.9**k * rewards[k] for k in range(5))
    torch.testing.assert_close(out[0] + values[0], returns)


def test_lambda_returns_by_hand():
    """G_3 = 4 + .5 * 8 = 8; G_2 = 3 ends; G_1 = 2 + .5 * 6 = 5 is cut; G_0 = 1 + .5 * (.5 * 2 + .5 * 5) = 2.75."""
    column = lambda xs: torch.tensor(xs).unsqueeze(-1)  # noqa: E731
    returns = lambda_returns(
        column([1.0, 2.0, 3.0, 4.0]),
        column([2.0, 6.0, 7.0, 8.0]),
        column([False, False, True, False]),
        column([False, True, False, False]),
        GAMMA,
        LAM,
    )
    assert returns.squeeze(-1).tolist() == [2.75, 5.0, 3.0, 8.0]


def test_lambda_returns_at_the_last_row():
    """A termination in the last row earns its reward alone, also where the limit of time was reached."""
    row = torch.tensor([[1.0, 1.0, 1.0]])
    terminated, truncated = torch.tensor([[True, False, True]]), torch.tensor([[False, True, True]])
    assert lambda_returns(row, 4.0 * row, terminated, truncated, GAMMA, LAM).tolist() == [[1.0, 3.0, 1.0]]


def test_lambda_returns_without_lambda():
    """With lam = 0 each return looks one step ahead."""
    rewards, values = torch.rand(5, 3), torch.rand(5, 3)
    never = torch.zeros(5, 3, dtype=torch.bool)
    torch.testing.assert_close(lambda_returns(rewards, values, never, never, 0.9, 0.0), rewards + 0.9 * values)


def test_advantages_are_returns_minus_values():
    """Any scan may stand in for the returns."""
    ones = torch.ones(2, 3)
    never = torch.zeros(2, 3, dtype=torch.bool)
    out = generalized_advantages(ones, ones, ones[0], never, never, ones, GAMMA, LAM, scan=lambda r, *_: 5.0 * r)
    assert out.tolist() == [[4.0] * 3] * 2


def test_explained_variance():
    """Perfect foresight explains everything, a constant nothing."""
    returns = torch.randn(100)
    assert float(explained_variance(returns, returns)) == pytest.approx(1.0)
    assert float(explained_variance(torch.zeros(100), returns)) == pytest.approx(0.0)
