# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Checkpoints and packages of flow_rl as policies that stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from flow_rl.deploy.package import CONTRACT, PolicyPackage
from flow_rl.utils.checkpoint import load_checkpoint

from .frozen import FrozenPolicy, Interface, refusal
from .settings import BaseSettings


class CheckpointPolicy(FrozenPolicy):
    """A policy that flow-rl pretrain or a learner has written, whatever its networks."""

    differentiable = True

    def __init__(self, settings: BaseSettings, interface: Interface | None = None):
        """Read the checkpoint, which says by itself what it sees."""
        from flow_rl.models import FlowPolicy  # here, because such a policy may itself hold a base

        path = Path(settings.source).expanduser()
        self.name = f"checkpoint {path}"
        checkpoint = load_checkpoint(path)
        self.description = checkpoint["flow_rl"]
        if (below := self.description["policy"].get("base")) is not None:
            below["execute_code"] = settings.execute_code
        self.policy: FlowPolicy = FlowPolicy.from_checkpoint(checkpoint).requires_grad_(False)
        vectors = {name: [size] for name, size in self.policy.group_dims.items()}
        self.groups = vectors | self.policy.image_shapes
        self.horizon, self.action_dim = self.policy.horizon, self.policy.action_dim
        self.noise_shape = None if self.policy.cfg.regresses() else (self.policy.output_dim,)
        units = self.policy.action_normalizer
        middle, half = units.center[: self.action_dim].clone(), units.scale[: self.action_dim].clone()
        self.action_range = middle - half, middle + half
        normalizer, sizes = self.policy.observer.normalizer, list(self.policy.group_dims.values())
        scales = zip(normalizer.center.split(sizes), normalizer.spread().split(sizes), strict=True)
        self.obs_scales = dict(zip(self.policy.group_dims, scales, strict=True))
        self.digest = digest(path)

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A)."""
        device = next(iter(obs.values())).device
        if self.policy.action_normalizer.center.device != device:
            self.policy.to(device)
        chunk = self.policy.sample(self.policy.get_latent(obs), noise if noise is None else noise.to(device))
        return self.policy.action_normalizer.inverse(chunk).unflatten(-1, (self.horizon, self.action_dim))

    def twin(self) -> nn.Module:
        """The policy's own twin."""
        if self.policy.image_shapes:
            raise refusal(self.name, "it sees through cameras, of which only its own export knows")
        return self.policy.as_jit()


class PackagePolicy(FrozenPolicy):
    """A folder that flow-rl export wrote, run by onnxruntime; verified when it is read."""

    why_not_exported = "packages are not joined with what was learnt; name the checkpoint that it was made of instead"

    def __init__(self, settings: BaseSettings, interface: Interface | None = None):
        """Read and verify the package, which says by itself what it sees."""
        folder = Path(settings.source).expanduser()
        self.name = f"package {folder}"
        self.package = PolicyPackage(folder)
        scales: dict[str, list[list[float]]] = {}
        for term in self.package.observations:
            for numbers, name in zip(scales.setdefault(term["group"], [[], []]), ("center", "scale"), strict=True):
                numbers += term["normalisation"][name]
        self.obs_scales = {group: tuple(map(torch.tensor, numbers)) for group, numbers in scales.items()}
        self._vectors = list(scales)
        self.groups = {group: [len(center)] for group, (center, _) in scales.items()}
        self.groups |= {name: list(shape) for name, shape in self.package.cameras.items()}
        self.horizon, self.action_dim = self.package.chunk_shape
        self.noise_shape = (self.horizon * self.action_dim,)
        self._start = self.package.contract["sampler"]["noise"]["start"]
        actions = self.package.contract["actions"]
        self.action_range = torch.tensor(actions["lower"]), torch.tensor(actions["upper"])
        self.digest = digest(folder / CONTRACT)

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A) on the CPU, within the limits of the contract."""
        seen = {name: value.detach().cpu() for name, value in obs.items()}
        vectors = torch.cat([seen[name] for name in self._vectors], dim=-1).float()
        if noise is None:
            make = torch.randn if self._start == "random" else torch.zeros
            noise = make(len(vectors), *self.noise_shape)
        pictures = [seen[name].numpy() for name in self.package.cameras]
        found = self.package.infer(vectors.numpy(), pictures, noise.detach().cpu().numpy())
        return torch.from_numpy(found).clamp(*self.action_range)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
