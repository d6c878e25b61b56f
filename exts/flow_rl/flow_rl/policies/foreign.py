# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""TorchScript files, ONNX files and Python functions as policies.

Files say by the names of their inputs what they want: the name of an observation group, `obs` for all vectors side by
side, `images` for a list of all images, `noise` for the initial noise; as those that flow-rl export writes. A single
input of another name is `obs`. Functions are called with the dictionary of groups, and with `noise` if they have such a
parameter; their attribute `differentiable` may say that gradients pass through them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flow_rl.utils.check import InputError, require, require_package
from flow_rl.utils.files import brief, reading

from .frozen import FrozenPolicy, Interface, chunks
from .own import digest
from .settings import FIELD, BaseSettings

KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
KINDS |= {"tensor(uint8)": np.uint8}
"""Types of ONNX's inputs."""


class _Probed(FrozenPolicy):
    """A policy that says nothing of its chunks, and is asked once."""

    def _probe(self, interface: Interface) -> None:
        """Take over the length of its chunks for observations of zeros."""
        self.action_dim = interface.action_dim
        obs = {name: value for name, value in interface.example().items() if name in self.groups}
        noise = None if self.noise_shape is None else torch.zeros(1, *self.noise_shape)
        with torch.no_grad():
            self.horizon = self(obs, noise).shape[1]

    def _noise(self, noise: torch.Tensor | None, num: int) -> torch.Tensor | None:
        """The noise that is given, or fresh one if it takes any."""
        return torch.randn(num, *self.noise_shape) if noise is None and self.noise_shape is not None else noise


class TorchScriptPolicy(_Probed):
    """A TorchScript file, whose program runs in this process."""

    differentiable = True
    is_code = True
    why_not_exported = "TorchScript programs do not become ONNX graphs with what was learnt"

    def __init__(self, settings: BaseSettings, interface: Interface):
        """Read the file; the caller knows that it may run."""
        path = Path(settings.source).expanduser()
        self.name, self.digest = f"TorchScript file {path}", digest(path)
        with reading(path, "a program that torch.jit.save wrote", "make it again."):
            self._module = torch.jit.load(path, map_location="cpu").eval()
        for parameter in self._module.parameters():
            parameter.requires_grad_(False)
        arguments = self._module.forward.schema.arguments[1:]
        self._inputs = _Inputs([argument.name for argument in arguments], interface, self.name)
        self.groups = self._inputs.groups
        self.noise_shape = (interface.horizon * interface.action_dim,) if self._inputs.takes_noise else None
        self._device = torch.device("cpu")
        self._probe(interface)

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A)."""
        first = next(iter(obs.values()))
        if first.device != self._device:
            self._module, self._device = self._module.to(first.device), first.device
        noise = self._noise(noise, len(first))
        inputs = self._inputs(obs, None if noise is None else noise.to(first.device))
        return chunks(self._module(*inputs), len(first), self.action_dim, self.name)


class OnnxPolicy(_Probed):
    """An ONNX file, run by onnxruntime on the CPU."""

    why_not_exported = "its graph is not joined with that of what was learnt"

    def __init__(self, settings: BaseSettings, interface: Interface):
        """Read the file."""
        onnxruntime = require_package("onnxruntime", "onnxruntime", "export")
        path = Path(settings.source).expanduser()
        self.name, self.digest = f"ONNX file {path}", digest(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of classes that onnxruntime does not promise
            raise InputError(
                f"{self.name} cannot be read ({brief(error)}). Valid: a model that onnxruntime runs."
            ) from error
        nodes = self._session.get_inputs()
        self._inputs = _Inputs([node.name for node in nodes], interface, self.name)
        self._names, self._types = [node.name for node in nodes], [KINDS.get(node.type) for node in nodes]
        odd = [f"{node.name}: {node.type}" for node in nodes if node.type not in KINDS]
        require(not odd, self.name, odd, f"inputs of types {', '.join(KINDS)}", "export it again with one of these.")
        self._single = any(node.shape and node.shape[0] == 1 for node in nodes)  # made for a batch of one
        self.groups = self._inputs.groups
        if self._inputs.takes_noise:
            shape = self._session.get_inputs()[self._inputs.names.index("noise")].shape[1:]
            told = all(isinstance(size, int) for size in shape)
            self.noise_shape = tuple(shape) if told else (interface.horizon * interface.action_dim,)
        with reading(path, "a model that acts on observations of this task", "export it again."):
            self._probe(interface)

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A), on the CPU."""
        num = len(next(iter(obs.values())))
        noise = self._noise(noise, num)
        inputs = [
            value.detach().cpu().numpy().astype(kind)
            for value, kind in zip(self._inputs(obs, noise), self._types, strict=True)
        ]
        parts = [[value[i : i + 1] for value in inputs] for i in range(num)] if self._single else [inputs]
        outputs = [self._session.run(None, dict(zip(self._names, part, strict=True)))[0] for part in parts]
        return chunks(torch.from_numpy(np.concatenate(outputs)), num, self.action_dim, self.name)


class FunctionPolicy(_Probed):
    """A Python function of observation groups, and of noise if it has a parameter of that name."""

    is_code = True
    why_not_exported = "a Python function stays in Python"

    def __init__(self, settings: BaseSettings, interface: Interface):
        """Import the function; the caller knows that it may run."""
        self.name = f"function {settings.source}"
        self._function = _find(settings.source)
        self.differentiable = bool(getattr(self._function, "differentiable", False))
        self.groups = interface.shapes
        try:
            takes_noise = "noise" in inspect.signature(self._function).parameters
        except (TypeError, ValueError):  # built-in functions have none
            takes_noise = False
        self.noise_shape = (interface.horizon, interface.action_dim) if takes_noise else None
        self._probe(interface)

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None = None) -> torch.Tensor:
        """Chunks (B, H, A)."""
        first = next(iter(obs.values()))
        noise = self._noise(noise, len(first))
        more = {} if noise is None else {"noise": noise.to(first.device)}
        return chunks(self._function(dict(obs), **more), len(first), self.action_dim, self.name)


class _Inputs:
    """Orders observations and noise as the inputs of a file are named."""

    def __init__(self, names: Sequence[str], interface: Interface, file: str):
        """Understand the names, or raise an InputError that lists the valid ones."""
        shapes = interface.shapes
        self._vectors = [name for name, shape in shapes.items() if len(shape) == 1]
        self._images = [name for name in shapes if name not in self._vectors]
        known = {*shapes, "obs", "images", "noise"}
        unknown = [name for name in names if name not in known]
        self.names = ["obs" if [name] == unknown and "obs" not in names else name for name in names]
        odd = [name for name in self.names if name not in known]
        valid = f"observation groups {', '.join(shapes)}, or obs, images, noise"
        require(not odd, f"inputs of {file}", odd, valid, "export it again with inputs of these names.")
        seen = {"obs": self._vectors, "images": self._images}
        groups = [group for name in self.names if name != "noise" for group in seen.get(name, [name])]
        order = dict.fromkeys([*(g for g in groups if g in self._vectors), *groups])
        self.groups = {group: list(shapes[group]) for group in order}
        self.takes_noise = "noise" in self.names

    def __call__(self, obs: Mapping[str, torch.Tensor], noise: torch.Tensor | None) -> list[Any]:
        """Inputs in their order."""
        given = {"noise": noise, "images": [obs[name] for name in self._images if name in obs]}
        if "obs" in self.names:
            given["obs"] = torch.cat([obs[name] for name in self._vectors], dim=-1)
        return [given[name] if name in given else obs[name] for name in self.names]


def _find(source: str) -> Any:
    """Import what ``module:function`` names."""
    module, _, name = source.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{FIELD}source = {source!r} cannot be imported ({error}). Valid: module:function of an installed "
            "module, or of one in a folder of PYTHONPATH. Remedy: install it, or set PYTHONPATH to its folder."
        ) from error
    require(callable(function), FIELD + "source", source, "a function", "name one of the module's functions.")
    return function
