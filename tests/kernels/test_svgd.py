# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The Stein variational field against its formula, written out for every pair."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from flow_rl.kernels import svgd_diagnostics, svgd_field

CORNERS = [(3, 1, 1, 1), (2, 8, 8, 80), (2, 5, 9, 28), (2, 17, 3, 7), (1, 2, 256, 2), (1, 2, 3, 512)]
"""Sizes (B, P1, P2, A)."""
SETTINGS = list(itertools.product(("rbf", "imq", "delta"), ("none", "grad_q", "grad_norm")))


def draw(B: int, P1: int, P2: int, A: int, device: str = "cpu") -> list[torch.Tensor]:
    """Queries, particles and gradients, away from the origin."""
    generator = torch.Generator().manual_seed(0)
    query, particles, grad_q = (torch.randn(B, P, A, generator=generator) for P in (P1, P2, P2))
    return [(query + 3.0).to(device), (particles + 3.0).to(device), (5.0 * grad_q).to(device)]


def brute_force(query, particles, grad_q, temperature, kernel, bandwidth=None, normalization="grad_norm"):
    """Attraction and repulsion pair by pair, in double precision."""
    query, particles, grad_q = query.double(), particles.double(), grad_q.double()
    attraction, repulsion = torch.zeros_like(query), torch.zeros_like(query)
    count = particles.shape[1]
    norms = [sum(float(grad_q[b, j].norm()) for j in range(count)) / count for b in range(len(query))]
    for b, i in itertools.product(range(query.shape[0]), range(query.shape[1])):
        norm = norms[b]
        scale = 1.0 / min(max(norm, 1e-8), 1e5) if normalization == "grad_q" else 1.0
        weight = temperature * min(norm, 1e5) if normalization == "grad_norm" else temperature
        if kernel == "delta":
            attraction[b, i] = scale * grad_q[b, i]
            continue
        squared = [float((query[b, i] - particles[b, j]).square().sum()) for j in range(count)]
        h = bandwidth or max(sorted(squared)[(count - 1) // 2] / (2.0 * math.log(count + 1.0)), 1e-8)
        for j, d2 in enumerate(squared):
            k = math.exp(-d2 / (2.0 * h)) if kernel == "rbf" else (1.0 + d2 / (2.0 * h)) ** -0.5
            slope = k / h if kernel == "rbf" else k**3 / (2.0 * h)
            attraction[b, i] += k * scale * grad_q[b, j] / count
            repulsion[b, i] += weight * slope * (query[b, i] - particles[b, j]) / count
    return attraction, repulsion


def relative_error(out: torch.Tensor, *parts: torch.Tensor) -> float:
    """Error of a sum relative to the size of its parts, which may cancel."""
    return float((out - sum(parts)).norm() / sum(part.norm() for part in parts))


@pytest.mark.parametrize("kernel, normalization", SETTINGS)
@pytest.mark.parametrize("size", CORNERS)
def test_field_is_the_sum_over_pairs(size, kernel, normalization):
    """In single precision the torch field is the double loop to a millionth, or two where 256 exponentials add up."""
    inputs = draw(*size)
    if kernel == "delta":
        inputs[0] = inputs[1]
    settings = {"temperature": 0.5, "kernel": kernel, "normalization": normalization}
    out = svgd_field(*inputs, **settings, backend="torch")
    assert relative_error(out, *brute_force(*inputs, **settings)) < (2e-6 if size[2] == 256 else 1e-6)


def test_fixed_bandwidth():
    """A bandwidth that is given replaces the median's."""
    inputs = draw(2, 4, 4, 3)
    settings = {"temperature": 0.5, "kernel": "rbf", "bandwidth": 1.7}
    assert relative_error(svgd_field(*inputs, **settings), *brute_force(*inputs, **settings)) < 1e-6


def test_repulsion_is_the_gradient_of_the_kernel():
    """Autograd of the kernel with respect to the particle gives the same push."""
    query, particles, _ = (x.double() for x in draw(1, 1, 1, 4))
    for kernel, function in (("rbf", lambda d2: torch.exp(-d2 / 3.0)), ("imq", lambda d2: (1.0 + d2 / 3.0) ** -0.5)):
        moved = particles.clone().requires_grad_()
        (push,) = torch.autograd.grad(function((query - moved).square().sum()), moved)
        settings = {"temperature": 1.0, "kernel": kernel, "bandwidth": 1.5, "normalization": "none"}
        torch.testing.assert_close(svgd_field(query, particles, torch.zeros_like(query), **settings), push)


@pytest.mark.parametrize("backend", ["torch", "warp"])
def test_one_particle(backend):
    """With one particle d2 / (2 h) = log 2, so that k = 1/2 and the push is log 2 (q - a) / d2."""
    query, particles, grad_q = draw(3, 1, 1, 1)
    gap = query - particles
    out = svgd_field(query, particles, grad_q, temperature=0.7, normalization="none", backend=backend)
    torch.testing.assert_close(out, 0.5 * grad_q + 0.7 * math.log(2.0) / gap)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize("backend", ["torch", "warp"])
def test_symmetries(backend, kernel):
    """The order of the particles and the origin of the coordinates do not matter; that of the queries carries over."""
    query, particles, grad_q = draw(2, 5, 9, 28)
    field = lambda q, a, g: svgd_field(q, a, g, temperature=0.5, kernel=kernel, backend=backend)  # noqa: E731
    out, order = field(query, particles, grad_q), torch.randperm(9)
    torch.testing.assert_close(field(query, particles[:, order], grad_q[:, order]), out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(field(query + 1.0, particles + 1.0, grad_q), out, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(field(query.flip(1), particles, grad_q), out.flip(1), rtol=1e-5, atol=1e-5)


def test_zero_temperature_only_smooths():
    """Without repulsion equal gradients stay their own direction."""
    query, particles, grad_q = draw(2, 5, 9, 28)
    out = svgd_field(query, particles, torch.ones_like(grad_q), temperature=0.0)
    torch.testing.assert_close(out, out[..., :1].expand_as(out))
    assert out.min() > 0.0
    assert out.max() < 1.0


@pytest.mark.parametrize("backend", ["torch", "warp"])
@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_coinciding_particles(backend, kernel):
    """Where all particles lie on the queries nothing repels; where most do, those beyond the floor are forgotten."""
    _, particles, grad_q = draw(2, 8, 8, 80)
    one = particles[:, :1].expand_as(particles)
    settings = {"temperature": 0.5, "kernel": kernel, "normalization": "none", "backend": backend}
    torch.testing.assert_close(
        svgd_field(one, one, grad_q, **settings), grad_q.mean(dim=1, keepdim=True).expand_as(grad_q)
    )
    most = torch.cat((one[:, :5], particles[:, 5:]), dim=1)
    settings["kernel"] = "rbf"
    torch.testing.assert_close(svgd_field(most, most, grad_q, **settings)[:, 0], grad_q[:, :5].sum(dim=1) / 8)


@pytest.mark.parametrize("backend", ["torch", "warp"])
def test_no_states(backend):
    """An empty batch has an empty field."""
    assert svgd_field(*draw(0, 8, 8, 80), temperature=0.5, backend=backend).shape == (0, 8, 80)


def compare(size: tuple[int, ...], device: str, **settings) -> None:
    inputs = draw(*size, device=device)
    expected = svgd_field(*inputs, temperature=0.5, **settings, backend="torch")
    out = svgd_field(*inputs, temperature=0.5, **settings, backend="warp")
    assert relative_error(out, expected) < 1e-5


@pytest.mark.parametrize("size", [*CORNERS, (1, 256, 256, 2)])
def test_warp_is_torch(size):
    """The fused kernel gives the reference's field."""
    compare(size, "cpu")


@pytest.mark.parametrize("settings", [("imq", None, "none"), ("rbf", 2.0, "grad_q"), ("imq", None, "grad_norm")])
def test_warp_settings(settings):
    """So it does under every setting."""
    compare((2, 5, 9, 28), "cpu", **dict(zip(("kernel", "bandwidth", "normalization"), settings, strict=True)))


@pytest.mark.parametrize("backend", ["torch", "warp"])
def test_strided_inputs(backend):
    """Transposed, expanded and sliced inputs give the field of their copies."""
    query, particles, grad_q = draw(2, 8, 8, 80)
    query = query.transpose(1, 2).contiguous().transpose(1, 2)
    particles = particles.transpose(0, 1).contiguous().transpose(0, 1)
    grad_q = torch.stack((grad_q, grad_q), dim=-1)[..., 0][:, :1].expand(-1, 8, -1)
    field = lambda *inputs: svgd_field(*inputs, temperature=0.5, backend=backend)  # noqa: E731
    copies = [x.contiguous() for x in (query, particles, grad_q)]
    torch.testing.assert_close(field(query, particles, grad_q), field(*copies))


def test_field_is_a_constant():
    """No gradient flows through the field, whoever computes it."""
    inputs = [x.requires_grad_() for x in draw(3, 1, 1, 1)]
    assert not any(svgd_field(*inputs, temperature=0.5, backend=name).requires_grad for name in ("torch", "warp"))


@pytest.mark.parametrize("kernel", ["rbf", "imq", "delta"])
def test_diagnostics(kernel):
    """The norms are those of the two parts of the formula."""
    inputs = draw(2, 8, 8, 80)
    out = svgd_diagnostics(*inputs, temperature=0.5, kernel=kernel)
    attraction, repulsion = brute_force(*inputs, temperature=0.5, kernel=kernel)
    distances = (inputs[0].unsqueeze(2) - inputs[1].unsqueeze(1)).norm(dim=-1)
    expected = {
        "attraction_norm": attraction.norm(dim=-1).mean(),
        "repulsion_norm": repulsion.norm(dim=-1).mean(),
        "grad_q_norm": inputs[2].norm(dim=-1).mean(),
        "distance": distances.mean(),
        "bandwidth": (distances.square().median(dim=-1).values / (2.0 * math.log(9.0))).mean(),
    }
    assert out.keys() == expected.keys()
    for name, value in out.items():
        assert value.shape == ()
        torch.testing.assert_close(value, expected[name].float(), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": "cosine"}, "kernel = 'cosine'.*'rbf', 'imq', 'delta'"),
        ({"normalization": "svgd"}, "normalization = 'svgd'.*'grad_norm'"),
        ({"backend": "cuda"}, "backend = 'cuda'.*'auto', 'torch', 'warp'"),
        ({"temperature": -1.0}, "temperature = -1.0.*0 or more"),
        ({"bandwidth": 0.0}, "bandwidth = 0.0.*above 0"),
        ({"query": torch.zeros(2, 5)}, r"query.shape = \(2, 5\).*\(B, P1, A\)"),
        ({"particles": torch.zeros(2, 9, 27)}, r"particles.shape = \(2, 9, 27\).*\(2, P2, 28\)"),
        ({"grad_q": torch.zeros(2, 8, 28)}, r"grad_q.shape = \(2, 8, 28\).*\(2, 9, 28\)"),
        ({"grad_q": torch.zeros(2, 9, 28).double()}, "grad_q.dtype = torch.float64.*torch.float32"),
        ({"kernel": "delta"}, r"particles.shape\[1\] = 9.*5"),
    ],
)
def test_wrong_input(change, message):
    """The message names the argument, its value, what is valid and the remedy."""
    arguments = dict(zip(("query", "particles", "grad_q"), draw(2, 5, 9, 28), strict=True))
    with pytest.raises(ValueError, match=f"{message}.*Remedy: "):
        svgd_field(**{**arguments, "temperature": 0.5, **change})


def test_warp_wants_single_precision():
    """Double precision is for torch; "auto" knows."""
    inputs = [x.double() for x in draw(2, 5, 9, 28)]
    assert svgd_field(*inputs, temperature=0.5).dtype == torch.float64
    with pytest.raises(ValueError, match="dtype = torch.float64.*backend='torch'"):
        svgd_field(*inputs, temperature=0.5, backend="warp")


@pytest.mark.gpu
@pytest.mark.parametrize("size", [*CORNERS, (8192, 8, 8, 80), (64, 64, 64, 80), (3, 256, 256, 512)])
@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_warp_is_torch_on_gpu(size, kernel):
    """On the GPU, too, the fused kernel gives the reference's field, and nothing waits for the device."""
    inputs = draw(*size, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        svgd_field(*inputs, temperature=0.5, kernel=kernel, backend="warp")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    compare(size, "cuda", kernel=kernel)


@pytest.mark.gpu
def test_replayed_graph():
    """A captured call follows its inputs when they change."""
    inputs = draw(16, 8, 8, 80, device="cuda")
    svgd_field(*inputs, temperature=0.5, backend="warp")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = svgd_field(*inputs, temperature=0.5, backend="warp")
    for tensor in inputs:
        tensor.copy_(torch.randn_like(tensor))
    graph.replay()
    expected = svgd_field(*inputs, temperature=0.5, backend="torch")
    assert relative_error(out, expected) < 1e-5
