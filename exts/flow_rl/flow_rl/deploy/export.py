# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Writes policies as packages; the only module here that needs torch."""

from __future__ import annotations

import datetime
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import flow_rl
from flow_rl.models import FlowPolicy
from flow_rl.nn import MinMaxNormalizer
from flow_rl.utils.check import require, require_package

from .manual import manual
from .package import JOINING, MANUAL, NETWORK, TORCHSCRIPT, VECTORS, PolicyPackage, write_contract

RUNTIME = ("__init__.py", "deploy/__init__.py", "deploy/__main__.py", "deploy/control_loop.py", "deploy/package.py")
RUNTIME += ("deploy/chunking.py", "deploy/preprocessing.py", "deploy/runner.py", "deploy/video.py")
RUNTIME += ("utils/__init__.py", "utils/check.py", "utils/files.py")
RUNTIME += ("deploy/commander.py", "deploy/objects.py", "deploy/observer.py", "deploy/rotations.py", "deploy/ros2.py")
RUNTIME += tuple(
    f"deploy/franka/{name}.py" for name in ("__init__", "__main__", "arm", "driver", "gripper", "settings")
)
RUNTIME += tuple(f"deploy/lerobot/{name}_flow_rl.py" for name in ("configuration", "modeling", "processor"))
RUNTIME += ("deploy/lerobot/__init__.py",)
"""Files of flow_rl that travel with a package, so that the robot's computer needs no installation."""

OPSET = 18
"""Of ONNX, for onnxruntime and for TensorRT 10."""


def check_trained(checkpoint: dict[str, Any]) -> None:
    """Raise a ValueError if a checkpoint holds networks that have learnt nothing."""
    facts, policy = checkpoint["flow_rl"], FlowPolicy.from_checkpoint(checkpoint)
    require(
        facts.get("iteration", 0) > 0 or bool(policy.observer.normalizer.center.any()),
        "--checkpoint",
        f"stage {facts['stage']}, learner {facts['learner']}, iteration {facts.get('iteration', 0)}",
        "a trained policy: this one has seen neither demonstrations nor an iteration of learning",
        "pretrain it with flow-rl pretrain, or fine-tune a pretrained one.",
    )


def export_package(
    policy: FlowPolicy, contract: dict[str, Any], samples: dict[str, torch.Tensor], folder: str | Path
) -> PolicyPackage:
    """Write a package beside its place, read it as a robot would, and only then put it there.

    Args:
        policy: Policy to export, on the CPU.
        contract: What :func:`flow_rl_tasks.core.contract.describe_task` and the checkpoint know.
        samples: Observation groups of a few steps, shapes (N, ...), from which the test vectors are made.
        folder: Where to write; an existing one is replaced.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        _write_networks(policy, partial)
        _write_vectors(policy, samples, partial / VECTORS)
        _write_runtime(partial / "flow_rl")
        contract = contract | {"sampler": _sampler(policy), "created": datetime.date.today().isoformat()}
        contract["observations"] = _normalised(policy, contract["observations"])
        (partial / MANUAL).write_text(manual(contract))
        write_contract(partial, contract)
        package = PolicyPackage(partial)
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        package.folder = partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return package


@torch.inference_mode()
def compare(
    policy: FlowPolicy, package: PolicyPackage, vectors: torch.Tensor, images: dict[str, torch.Tensor], batch: int = 256
) -> float:
    """Greatest difference between the actions of a policy and of its package.

    Args:
        policy: The policy, on the CPU.
        package: Its package.
        vectors: Observations (N, O).
        images: Pictures (N, 3, h, w) of each camera, bytes.
        batch: Observations that are compared at a time.
    """
    generator, worst = torch.Generator().manual_seed(0), 0.0
    dims = list(policy.group_dims.values())
    for start in range(0, len(vectors), batch):
        part = slice(start, start + batch)
        obs = dict(zip(policy.group_dims, vectors[part].split(dims, dim=-1), strict=True))
        obs |= {name: images[name][part] for name in policy.image_shapes}
        noise = torch.randn(len(vectors[part]), policy.output_dim, generator=generator)
        chunks = policy.action_normalizer.inverse(policy.sample(policy.get_latent(obs), noise))
        pictures = [obs[name].numpy() for name in policy.image_shapes]
        ours = package.infer(vectors[part].numpy(), pictures, noise.numpy())
        worst = max(worst, float(np.abs(ours.reshape(chunks.shape) - chunks.numpy()).max()))
    return worst


def package_size(folder: Path) -> int:
    """Size of all files [bytes]."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write_networks(policy: FlowPolicy, folder: Path) -> None:
    """Write TorchScript and the ONNX graph, in which K steps are unrolled and the size of the batch is free.

    To the graph's inputs :data:`.package.JOINING` are added, which have no effect unless they are given.
    """
    onnx_ir = require_package("onnx_ir", "onnx-ir", "export")
    # not `save`, whose writer ends the process where a disk is full
    (folder / TORCHSCRIPT).write_bytes(torch.jit.script(policy.as_jit().eval()).save_to_buffer())
    twin = policy.as_onnx().eval()
    # two of each, because a batch of one would be taken for a constant
    inputs = tuple(torch.cat((tensor, tensor)) for tensor in twin.get_dummy_inputs())
    batch = {0: torch.export.Dim("batch", min=1, max=65536)}
    joining = () if policy.base is not None else tuple(torch.zeros(policy.output_dim) for _ in JOINING)
    names = [*twin.input_names, *JOINING[: len(joining)]]
    free = (batch,) * len(inputs) + (None,) * len(joining)
    inputs += joining
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own insides
        program = torch.onnx.export(
            twin,
            inputs,
            input_names=names,
            output_names=twin.output_names,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=free if not policy.image_shapes else (batch, free[1:]),
            verbose=False,
        )
    for value in program.model.graph.inputs[len(names) - len(joining) :]:
        # an input with a value of its own need not be given
        value.const_value = onnx_ir.tensor(np.zeros(policy.output_dim, dtype=np.float32), name=value.name)
        program.model.graph.register_initializer(value)
    program.save(folder / NETWORK, external_data=False)


def _write_runtime(folder: Path) -> None:
    """Copy what runs a package."""
    for name in RUNTIME:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(flow_rl.__file__).parent / name, folder / name)


@torch.inference_mode()
def _write_vectors(policy: FlowPolicy, samples: dict[str, torch.Tensor], path: Path) -> None:
    """Write observations, noise and the chunks that the training policy makes of them."""
    vectors = torch.cat([samples[group] for group in policy.group_dims], dim=-1)
    noise = torch.randn(len(vectors), policy.output_dim, generator=torch.Generator().manual_seed(0))
    chunks = policy.action_normalizer.inverse(policy.sample(policy.get_latent(samples), noise))
    pictures = {f"camera.{name}": samples[name].numpy() for name in policy.image_shapes}
    np.savez_compressed(path, obs=vectors.numpy(), noise=noise.numpy(), actions=chunks.numpy(), **pictures)


def _sampler(policy: FlowPolicy) -> dict[str, Any]:
    """How chunks are made of noise; of a policy upon another one, that one says it."""
    own = policy
    while own.base is not None:
        own = own.base.policy
    return {
        "steps": own.num_flow_steps,
        "method": f"{'Euler' if own.cfg.sampler.kind == 'flow' else 'DDIM'}, unrolled in policy.onnx",
        "prediction": own.cfg.prediction,
        "score_coefficients": own.score_coefs.tolist(),
        "noise": {"input": "noise", "shape": [policy.output_dim], "law": "normal(0, 1)", "start": policy.prior.kind},
        "optional_inputs": list(JOINING) if policy.base is None else [],
    }


def _normalised(policy: FlowPolicy, terms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Terms with what the network, which normalises by itself, centres and divides them by."""
    normalizer = policy.observer.normalizer
    kind = "range" if isinstance(normalizer, MinMaxNormalizer) else "whitening"
    sizes = [int(np.prod(term["shape"])) for term in terms]
    splits = zip(terms, normalizer.center.split(sizes), normalizer.spread().split(sizes), strict=True)
    return [
        term | {"normalisation": {"in_network": True, "kind": kind, "center": center.tolist(), "scale": scale.tolist()}}
        for term, center, scale in splits
    ]
