# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Twins of a policy for TorchScript and ONNX: its own modules behind tensors as inputs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from .base_sampler import BaseTwin

if TYPE_CHECKING:
    from .flow_policy import FlowPolicy


class FlowPolicyExport(nn.Module):
    """The policy as tensors only: the initial noise is an input, so the map is deterministic."""

    is_recurrent: bool = False

    def __init__(self, policy: FlowPolicy):
        super().__init__()
        self.obs_normalizer = copy.deepcopy(policy.observer.normalizer)
        self.steering = copy.deepcopy(policy.prior.steering)
        self.sampler = copy.deepcopy(policy.sampler) if policy.base is None else BaseTwin(policy.sampler)
        self.head = copy.deepcopy(policy.head)
        self.selector = copy.deepcopy(policy.selector)
        self.action_normalizer = copy.deepcopy(policy.action_normalizer)
        self.obs_dim, self.output_dim = policy.obs_dim, policy.output_dim

    def forward(
        self,
        obs: torch.Tensor,
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Chunk in the environment's units from concatenated observations (B, O) and noise (B, H * A).

        A former chunk (H * A) may be given, with the shares (H * A) by which states are written over by it; see
        :meth:`.sampler.FlowSampler.forward`.
        """
        return self.act(self.obs_normalizer(obs), noise, former, weights)

    def act(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Chunk in the environment's units from a latent (B, L) and noise (B, H * A)."""
        if former is not None:
            former = self.action_normalizer(former)
        if self.selector is None:
            chunk = self.chunk(latent, noise, former, weights)
        else:
            latents = latent.repeat(self.selector.num_candidates, 1)
            chunk = self.selector(self.chunk(latents, self.selector.noises(noise), former, weights), latent)
        return self.action_normalizer.inverse(chunk)

    def chunk(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Normalised chunk from a latent (B, L) and noise (B, H * A)."""
        if self.steering is not None:
            noise = self.steering(noise, latent)
        chunk = self.sampler(latent, noise, former, weights)
        return chunk if self.head is None else self.head(chunk, latent)

    @torch.jit.export
    def reset(self) -> None:
        """Nothing is carried from one decision to the next."""

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shapes for tracing."""
        return torch.zeros(1, self.obs_dim), torch.zeros(1, self.output_dim)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return ["obs", "noise"]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return ["actions"]


class BasedPolicyExport(FlowPolicyExport):
    """The same for a policy upon another one that stays as it is, and sees some of the vectors."""

    def __init__(self, policy: FlowPolicy):
        super().__init__(policy)
        columns = torch.arange(policy.obs_dim).split(list(policy.group_dims.values()))
        places = dict(zip(policy.group_dims, columns, strict=True))
        self.register_buffer("shown", torch.cat([places[group] for group in policy.base.groups]))

    def forward(self, obs: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Chunk in the environment's units from concatenated observations (B, O) and noise (B, H * A)."""
        return self.act(torch.cat([self.obs_normalizer(obs), obs[:, self.shown]], dim=-1), noise)


class VisionPolicyExport(FlowPolicyExport):
    """The same for a policy with cameras."""

    def __init__(self, policy: FlowPolicy):
        super().__init__(policy)
        self.encoders = nn.ModuleList(copy.deepcopy(encoder) for encoder in policy.observer.encoder.encoders.values())

    def forward(
        self,
        obs: torch.Tensor,
        images: list[torch.Tensor],
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Chunk from vectors (B, O), each camera's images (B, C, H, W) of bytes, and noise (B, H * A)."""
        state = self.obs_normalizer(obs)
        latent = [state]
        for i, encoder in enumerate(self.encoders):
            latent.append(encoder(images[i], state))
        return self.act(torch.cat(latent, dim=-1), noise, former, weights)


class VisionPolicyOnnx(VisionPolicyExport):
    """The same with the images as inputs one by one, because ONNX has no lists."""

    def __init__(self, policy: FlowPolicy):
        super().__init__(policy)
        self.image_shapes = policy.image_shapes

    def forward(self, obs: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Chunk from vectors (B, O), each camera's images (B, C, H, W) of bytes, noise (B, H * A), and so on."""
        num = len(self.encoders)
        return super().forward(obs, list(others[:num]), *others[num:])

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shapes for tracing."""
        images = [torch.zeros(1, *shape, dtype=torch.uint8) for shape in self.image_shapes.values()]
        return torch.zeros(1, self.obs_dim), *images, torch.zeros(1, self.output_dim)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return ["obs", *self.image_shapes, "noise"]
