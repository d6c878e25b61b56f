# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The Warp scan against its definition in torch."""

from __future__ import annotations

import pytest
import torch

from flow_rl.kernels import lambda_scan
from flow_rl.objectives import generalized_advantages, lambda_returns


def rollout(*shape: int, device: str = "cpu") -> list[torch.Tensor]:
    """Rewards, next values, terminations and truncations."""
    generator = torch.Generator().manual_seed(0)
    rewards, values, *ends = (torch.rand(shape, generator=generator) for _ in range(4))
    return [x.to(device) for x in (rewards, values, *(end < 0.1 for end in ends))]


@pytest.mark.parametrize("shape", [(1, 1), (32, 64), (5,), (7, 3, 2), (4, 0), (0, 4)])
@pytest.mark.parametrize("backend", ["torch", "warp", "auto"])
def test_scan_is_the_definition(shape, backend):
    """Any shape after time is a batch."""
    inputs = rollout(*shape)
    out = lambda_scan(*inputs, 0.97, 0.9, backend=backend)
    torch.testing.assert_close(out, lambda_returns(*inputs, 0.97, 0.9), rtol=1e-5, atol=1e-6)


def test_strided_inputs():
    """Rollouts stored environment by environment need no copy."""
    inputs = [x.t() for x in rollout(64, 32)]
    expected = lambda_returns(*inputs, 0.97, 0.9)
    torch.testing.assert_close(lambda_scan(*inputs, 0.97, 0.9, backend="warp"), expected, rtol=1e-5, atol=1e-6)


def test_advantages_by_the_scan():
    """Either scan gives the same advantages."""
    rewards, values, terminated, truncated = rollout(32, 64)
    arguments = (rewards, values, values[0], terminated, truncated, values.flip(0), 0.97, 0.9)
    expected = generalized_advantages(*arguments)
    torch.testing.assert_close(generalized_advantages(*arguments, scan=lambda_scan), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "index, wrong, message",
    [
        (1, torch.zeros(32, 63), r"next_values.shape = \(32, 63\).*\(32, 64\)"),
        (1, torch.zeros(32, 64).double(), "next_values.dtype = torch.float64.*torch.float32"),
        (2, torch.zeros(32, 64), "terminated.dtype = torch.float32.*torch.bool"),
        (3, torch.zeros(32, dtype=torch.bool), r"truncated.shape = \(32,\).*\(32, 64\)"),
    ],
)
def test_wrong_input(index, wrong, message):
    """The message names the argument, its value, what is valid and the remedy."""
    inputs = rollout(32, 64)
    inputs[index] = wrong
    with pytest.raises(ValueError, match=f"{message}.*Remedy: "):
        lambda_scan(*inputs, 0.97, 0.9)


@pytest.mark.gpu
def test_gpu_and_replayed_graph():
    """On the GPU the scan is the definition, without waiting, and again when a captured graph sees new inputs."""
    inputs = rollout(128, 4096, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = lambda_scan(*inputs, 0.97, 0.9, backend="warp")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(out, lambda_returns(*inputs, 0.97, 0.9), rtol=1e-5, atol=1e-5)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = lambda_scan(*inputs, 0.97, 0.9, backend="warp")
    inputs[0].copy_(torch.rand_like(inputs[0]))
    inputs[2].copy_(torch.rand_like(inputs[0]) < 0.2)
    graph.replay()
    torch.testing.assert_close(out, lambda_returns(*inputs, 0.97, 0.9), rtol=1e-5, atol=1e-5)
