# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the kernels share: the choice between torch and Warp, and a launch on torch's memory and stream."""

from __future__ import annotations

import functools
from typing import Literal, get_args

import torch
import warp as wp

from flow_rl.utils.check import require, require_choice

Backend = Literal["auto", "torch", "warp"]
warp_stream = functools.cache(wp.stream_from_torch)
"""Kept for good: a wrapper that dies unregisters torch's stream from Warp, also where the simulator is using it."""


def uses_warp(backend: str, device: torch.device, dtype: torch.dtype, *, auto_on_cpu: bool) -> bool:
    """Whether the Warp kernel runs: where asked for, and under "auto" on float32 where it is the faster one.

    Args:
        backend: One of :data:`Backend`.
        device: Where the tensors are. On CUDA "auto" means Warp, which has not been measured yet.
        dtype: Type of the tensors.
        auto_on_cpu: Whether measurements make Warp the faster one on the CPU.
    """
    require_choice("backend", backend, get_args(Backend))
    single = dtype == torch.float32
    require(single or backend != "warp", "dtype", dtype, "torch.float32 for Warp", "pass float32, or backend='torch'.")
    return backend == "warp" or (backend == "auto" and single and (device.type == "cuda" or auto_on_cpu))


def require_alike(**tensors: torch.Tensor) -> None:
    """Raise unless all tensors are on the device and of the floating type of the first."""
    (first, reference), *others = tensors.items()
    require(reference.is_floating_point(), f"{first}.dtype", reference.dtype, "a floating type", "call .float() on it.")
    for name, tensor in others:
        for field in ("device", "dtype"):
            value, wanted = getattr(tensor, field), getattr(reference, field)
            require(value == wanted, f"{name}.{field}", value, f"{wanted}, as {first}", f"call {name}.to({first}).")


def launch(kernel: wp.Kernel, dim: tuple[int, ...], inputs: list, output: torch.Tensor, block_dim: int = 256) -> None:
    """Launch on torch's current stream, without copies and without waiting, so that CUDA graphs can record it.

    Args:
        kernel: What runs.
        dim: Launch dimensions.
        inputs: Tensors of any strides, and plain numbers.
        output: Tensor to fill, the kernel's last argument.
        block_dim: Threads per block; on the CPU Warp makes it 1.
    """
    wp.init()
    arguments = [
        wp.from_torch(value.detach(), return_ctype=True) if isinstance(value, torch.Tensor) else value
        for value in (*inputs, output)
    ]
    stream = warp_stream(torch.cuda.current_stream(output.device)) if output.is_cuda else None
    device = wp.device_from_torch(output.device)
    wp.launch(kernel, dim=dim, inputs=arguments, device=device, stream=stream, block_dim=block_dim)
