# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Stein variational field that moves actions up the critic and apart from each other.

Shape letters: B states, P1 queries, P2 particles, A action (a whole chunk, flattened).
"""

from __future__ import annotations

import functools
import math
from typing import Literal, NamedTuple, get_args

import torch
import warp as wp

from flow_rl.kernels.backend import launch, require_alike, uses_warp
from flow_rl.utils.check import require, require_choice

Kernel = Literal["rbf", "imq", "delta"]
Normalization = Literal["none", "grad_q", "grad_norm"]
MIN_BANDWIDTH = 1e-8
"""Floor of the median bandwidth, reached when particles coincide."""
ROWS, COLUMNS, BLOCKS = 8, 4, 16
"""Queries per block, particles summed at once, and blocks per multiprocessor, which leave a thread 128 registers."""


@torch.no_grad()
def svgd_field(
    query: torch.Tensor,
    particles: torch.Tensor,
    grad_q: torch.Tensor,
    *,
    temperature: float,
    kernel: str = "rbf",
    bandwidth: float | None = None,
    normalization: str = "grad_norm",
    backend: str = "auto",
) -> torch.Tensor:
    """Stein variational field at the queries (Liu and Wang, arXiv 1608.04471; RLDT, arXiv 2606.08602), (B, P1, A).

    ``phi_i = (1/P2) sum_j [k_ij grad_q_j + T repulsion_ij]``, where the repulsion is the gradient of k_ij with respect
    to particle a_j. With ``d2_ij = |q_i - a_j|^2`` and ``h_i = lower median_j d2_ij / (2 log(P2 + 1))``, at least 1e-8:

    - "rbf": ``k_ij = exp(-d2_ij / (2 h_i))``, repulsion ``k_ij (q_i - a_j) / h_i``;
    - "imq": ``k_ij = (1 + d2_ij / (2 h_i))^(-1/2)``, repulsion ``k_ij^3 (q_i - a_j) / (2 h_i)``;
    - "delta": every particle follows its own gradient, ``phi_i = grad_q_i``; needs P1 = P2.

    The field is a constant: no gradient flows through it.

    Args:
        query: Points at which the field is wanted, shape (B, P1, A).
        particles: Points that attract and repel, shape (B, P2, A).
        grad_q: Gradients of the critic at the particles, shape (B, P2, A).
        temperature: Weight T of the repulsion, 0 or more.
        kernel: "rbf", "imq" or "delta".
        bandwidth: A fixed h; None takes the median.
        normalization: With n the mean over a state's particles of ``|grad_q_j|``, "grad_q" divides the gradients by n
            (within 1e-8 and 1e5), "grad_norm" multiplies the temperature by n (at most 1e5), "none" does neither.
        backend: "torch", "warp" (float32; "delta" stays in torch) or "auto": Warp on CUDA, which has not been measured
            yet, and torch on the CPU, where Warp took 0.7 to 1.5 times its time at P = 8 and 4 to 5 times at P = 32 and
            64 (one core of an AMD EPYC, 2026-11-21, benchmarks/kernels).
    """
    _check(query, particles, grad_q, temperature, kernel, bandwidth, normalization)
    settings = (temperature, kernel, bandwidth, normalization)
    if kernel == "delta":
        return _normalised(grad_q, temperature, normalization)[0].clone()
    if uses_warp(backend, query.device, query.dtype, auto_on_cpu=False):
        return _warp_field(query, particles, grad_q, *settings)
    parts = _torch_parts(query, particles, grad_q, *settings)
    return parts.attraction + parts.repulsion


@torch.no_grad()
def svgd_diagnostics(
    query: torch.Tensor,
    particles: torch.Tensor,
    grad_q: torch.Tensor,
    *,
    temperature: float,
    kernel: str = "rbf",
    bandwidth: float | None = None,
    normalization: str = "grad_norm",
) -> dict[str, torch.Tensor]:
    """Means over states and particles that tell what :func:`svgd_field` is made of, as tensors without dimensions."""
    _check(query, particles, grad_q, temperature, kernel, bandwidth, normalization)
    parts = _torch_parts(query, particles, grad_q, temperature, kernel, bandwidth, normalization)
    return {
        "attraction_norm": parts.attraction.norm(dim=-1).mean(),
        "repulsion_norm": parts.repulsion.norm(dim=-1).mean(),
        "grad_q_norm": grad_q.norm(dim=-1).mean(),
        "distance": parts.distances.mean(),
        "bandwidth": parts.bandwidth.mean(),
    }


class _Parts(NamedTuple):
    """The field before its two parts are added."""

    attraction: torch.Tensor
    """Kernel-weighted mean of the critic's gradients, shape (B, P1, A)."""
    repulsion: torch.Tensor
    """Temperature times the mean gradient of the kernel, shape (B, P1, A)."""
    distances: torch.Tensor
    """From each query to each particle, shape (B, P1, P2)."""
    bandwidth: torch.Tensor
    """The kernel's h, shape (B, P1, 1)."""


def _torch_parts(query, particles, grad_q, temperature, kernel, bandwidth, normalization) -> _Parts:
    """The definition of the field."""
    grad_q, temperature = _normalised(grad_q, temperature, normalization)
    centre = particles.mean(dim=1, keepdim=True)  # far from the origin the sums below would cancel
    query, particles = query - centre, particles - centre
    distances = torch.cdist(query, particles, compute_mode="donot_use_mm_for_euclid_dist")
    squared = distances.square()
    median = squared.median(dim=-1, keepdim=True).values
    h = (median / (2.0 * math.log(particles.shape[1] + 1.0))).clamp(min=MIN_BANDWIDTH)
    h = h if bandwidth is None else torch.full_like(h, bandwidth)
    if kernel == "delta":
        return _Parts(grad_q, torch.zeros_like(grad_q), distances, h)
    if kernel == "rbf":
        k = torch.exp(-squared / (2.0 * h))
        push = k / h
    else:
        k = torch.rsqrt(1.0 + squared / (2.0 * h))
        push = k.pow(3) / (2.0 * h)
    # A particle on the query does not push; its weight, up to 1e8, would only add rounding errors.
    push = push.masked_fill(squared == 0.0, 0.0) * temperature / particles.shape[1]
    repulsion = push.sum(dim=-1, keepdim=True) * query - push @ particles
    return _Parts(k @ grad_q / particles.shape[1], repulsion, distances, h)


def _normalised(grad_q, temperature, normalization) -> tuple[torch.Tensor, float | torch.Tensor]:
    """Gradients and temperature after normalisation."""
    if normalization == "none":
        return grad_q, temperature
    norm = grad_q.norm(dim=-1, keepdim=True).mean(dim=1, keepdim=True)
    if normalization == "grad_q":
        return grad_q / norm.clamp(1e-8, 1e5), temperature
    return grad_q, temperature * norm.clamp(max=1e5)


@functools.cache
def _field_kernel(
    num_queries: int, num_particles: int, action_dim: int, imq: bool, fixed: bool, normalization: str, lanes: int
) -> wp.Kernel:
    """The fused field for one shape of a state; any number of states runs the same kernel."""
    rows, columns = min(num_queries, ROWS), min(num_particles, COLUMNS)
    num_sums, sum_rows, padded = (rows + 1) * columns, rows + 1, lanes + 1
    num_pairs, middle = rows * num_particles, (num_particles - 1) // 2
    width_per_median = 1.0 / (2.0 * math.log(num_particles + 1.0))
    vector = wp.types.vector(length=rows, dtype=wp.float32)
    matrix = wp.types.matrix(shape=(sum_rows, columns), dtype=wp.float32)

    @wp.kernel(enable_backward=False, module="unique", launch_bounds=(lanes, BLOCKS))
    def svgd_kernel(
        # inputs
        query: wp.array3d[wp.float32],
        particles: wp.array3d[wp.float32],
        grad_q: wp.array3d[wp.float32],
        temperature: float,
        bandwidth: float,
        # outputs
        field_out: wp.array3d[wp.float32],
    ):
        """One block of one warp per state and group of queries; its lanes share out the columns of the action.

        Launch (B, ceil(P1 / rows), lanes); query and field_out (B, P1, A), particles and grad_q (B, P2, A). Reading a
        shared tile costs no barrier; each write is a call that all lanes make and that ends with one.
        """
        state, group, lane = wp.tid()
        first = group * rows
        own, others, gradients, out = query[state], particles[state], grad_q[state], field_out[state]
        count = others.shape[0]  # num_particles, but opaque, so that Warp does not unroll
        partial = wp.tile_empty(shape=(sum_rows, columns, padded), dtype=float, storage="shared")
        weights = wp.tile_empty(shape=(sum_rows, num_particles), dtype=float, storage="shared")
        widths = wp.tile_empty(shape=rows, dtype=float, storage="shared")

        # Squared distances into weights; its last row takes the squared norms of the gradients.
        for start in range(0, count, columns):
            sums = matrix()
            for c in range(lane, action_dim, lanes):
                q = vector()
                for i in range(rows):
                    q[i] = own[wp.min(first + i, num_queries - 1), c]
                for j in range(columns):
                    row = wp.min(start + j, num_particles - 1)
                    a = others[row, c]
                    g = gradients[row, c]
                    for i in range(rows):
                        sums[i, j] += (q[i] - a) * (q[i] - a)
                    sums[rows, j] += g * g
            wp.tile_assign(partial, wp.tile(sums), offset=(0, 0, 0))
            for base in range(0, num_sums, lanes):
                entry = wp.min(base + lane, num_sums - 1)
                i, j = entry // columns, entry % columns
                total = wp.float32(0.0)
                for other_lane in range(lanes):
                    total += partial[i, j, other_lane]
                mine = base + lane == entry and start + j < count
                wp.tile_scatter_masked(weights, i, start + j, total, mine)

        push_scale, pull_scale = temperature / float(count), 1.0 / float(count)
        norm = wp.float32(0.0)
        for j in range(count):
            norm += wp.sqrt(weights[rows, j]) / float(count)
        if wp.static(normalization == "grad_norm"):
            push_scale *= wp.min(norm, 1.0e5)
        if wp.static(normalization == "grad_q"):
            pull_scale /= wp.clamp(norm, 1.0e-8, 1.0e5)

        # Bandwidths: the lower median is the distance with exactly ``middle`` others before it, ties broken by index.
        for base in range(0, num_pairs, lanes):
            entry = wp.min(base + lane, num_pairs - 1)
            i, j = entry // count, entry % count
            distance = weights[i, j]
            rank = wp.int32(0)
            for other in range(count):
                if weights[i, other] < distance or (weights[i, other] == distance and other < j):
                    rank += 1
            width = wp.max(distance * width_per_median, MIN_BANDWIDTH)
            if wp.static(fixed):
                width = bandwidth
            wp.tile_scatter_masked(widths, i, width, base + lane == entry and rank == middle)

        # Kernel values in place of the squared distances.
        for base in range(0, num_pairs, lanes):
            entry = wp.min(base + lane, num_pairs - 1)
            i, j = entry // count, entry % count
            ratio = weights[i, j] / (2.0 * widths[i])
            k = 1.0 / wp.sqrt(1.0 + ratio) if wp.static(imq) else wp.exp(-ratio)
            wp.tile_scatter_masked(weights, i, j, k, base + lane == entry)

        for c in range(lane, action_dim, lanes):
            q, pull, push = vector(), vector(), vector()
            for i in range(rows):
                q[i] = own[wp.min(first + i, num_queries - 1), c]
            for j in range(count):
                a = others[j, c]
                g = gradients[j, c]
                for i in range(rows):
                    k = weights[i, j]
                    pull[i] += k * g
                    if wp.static(imq):
                        k = 0.5 * k * k * k
                    push[i] += k * (q[i] - a)
            for i in range(rows):
                if first + i < num_queries:
                    out[first + i, c] = pull_scale * pull[i] + push_scale / widths[i] * push[i]

    return svgd_kernel


def _warp_field(query, particles, grad_q, temperature, kernel, bandwidth, normalization) -> torch.Tensor:
    """The field from the fused kernel."""
    (num_states, num_queries, action_dim), num_particles = query.shape, particles.shape[1]
    field = torch.empty(query.shape, device=query.device)
    lanes = 32 if query.is_cuda else 1
    if num_states:
        fused = _field_kernel(
            num_queries, num_particles, action_dim, kernel == "imq", bandwidth is not None, normalization, lanes
        )
        dim = (num_states, math.ceil(num_queries / ROWS), lanes)
        launch(fused, dim, [query, particles, grad_q, temperature, bandwidth or 0.0], field, block_dim=lanes)
    return field


def _check(query, particles, grad_q, temperature, kernel, bandwidth, normalization) -> None:
    """Raise a ValueError that names the wrong argument; looks at shapes and settings, never at values on a device."""
    require_choice("kernel", kernel, get_args(Kernel))
    require_choice("normalization", normalization, get_args(Normalization))
    require(temperature >= 0.0, "temperature", temperature, "0 or more", "set temperature=0.001.")
    require(bandwidth is None or bandwidth > 0.0, "bandwidth", bandwidth, "above 0, or None", "set bandwidth=None.")
    require_alike(query=query, particles=particles, grad_q=grad_q)
    shape = tuple(query.shape)
    full = len(shape) == 3 and min(shape[1:]) > 0
    require(full, "query.shape", shape, "(B, P1, A) with P1 and A above 0", "flatten chunks of actions.")
    shape, (B, P1, A) = tuple(particles.shape), shape
    fits = len(shape) == 3 and shape[0] == B and shape[1] > 0 and shape[2] == A
    require(fits, "particles.shape", shape, f"({B}, P2, {A}), as query", "pass the particles of the same states.")
    valid = tuple(particles.shape)
    require(tuple(grad_q.shape) == valid, "grad_q.shape", tuple(grad_q.shape), str(valid), "one gradient per particle.")
    same = kernel != "delta" or valid[1] == P1
    require(same, "particles.shape[1]", valid[1], f"{P1}, as query, with kernel='delta'", "set kernel='rbf'.")
