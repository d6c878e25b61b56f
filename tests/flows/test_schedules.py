# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Schedules and laws of times."""

import pytest
import torch

from flow_rl.flows import cosine, hold_then_cosine, sample_times


def test_cosine_ends_where_it_should():
    """A half cosine passes its ends and its middle, and stays at its end."""
    assert [cosine(2.0, 1.0, p) for p in (0.0, 0.5, 1.0, 3.0)] == pytest.approx([2.0, 1.5, 1.0, 1.0])


def test_hold_then_cosine():
    """The start is held for its share; then the way to the end has its middle halfway."""
    assert [hold_then_cosine(2.0, 1.0, p, 0.5) for p in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([2.0, 2.0, 1.5, 1.0])
    assert hold_then_cosine(2.0, 1.0, 1.0, hold=1.0) == 2.0


@pytest.mark.parametrize(("law", "mean"), [("uniform", 0.5), ("logit_normal", 0.5), ("beta", 0.4)])
def test_laws_of_times(law, mean):
    """Times lie in [0, 1) and have the mean of their law; Beta(1.5, 1) has mean 0.6, turned to 0.4."""
    torch.manual_seed(0)
    t = sample_times(20000, law)
    assert t.shape == (20000, 1) and t.min() >= 0 and t.max() < 1
    assert float(t.mean()) == pytest.approx(mean, abs=0.01)


def test_unknown_law():
    """The message lists the laws."""
    with pytest.raises(ValueError, match="'gauss' is not one of .*uniform"):
        sample_times(1, "gauss")
