# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A GPU rehearsed without one: learners run on tensors that have a device and a shape, but no numbers.

Such tensors refuse what would fail or wait on a GPU: operations on tensors of two devices, and questions to the host
that are not in the list of :data:`HOST_READS`. What they cannot do is a backward pass; gradients are zeros.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from flow_rl.configs import learners
from flow_rl.kernels import scans, svgd
from flow_rl.testing import FilmedPointMass, PointMass
from flow_rl.testing.learners import ENCODER, small_config

GPU = "cuda:0"
FEW = {
    "on_policy": {"num_learning_epochs": 2, "num_mini_batches": 2},
    "off_policy": {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8},
    "dsrl": {"num_distillation_updates": 2},
}
HOST_READS = {
    "to_host": "the log, once an iteration",
    "check_final_obs": "a missing setting of the environment, once an iteration",
    "stop_early": "the KL divergence decides whether another epoch follows, once an epoch",
}
"""Functions of ours that may wait for the device, and for what."""


@pytest.fixture
def gpu(monkeypatch):
    """Tensors on a GPU that is not there; returns the names of the functions that asked them for numbers."""
    reads: set[str] = set()
    parameters: list[torch.Tensor] = []

    def read(value):
        def answer(tensor, *args, **kwargs):
            frame = inspect.currentframe().f_back
            while "torch" in Path(frame.f_code.co_filename).parts:
                frame = frame.f_back
            reads.add(frame.f_code.co_name)
            return value(tensor)

        return answer

    def backward(loss, *args, **kwargs):
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(torch.Tensor, "tolist", read(lambda tensor: [0.0] * tensor.numel()))
    monkeypatch.setattr(torch.Tensor, "item", read(lambda tensor: 0.0))
    monkeypatch.setattr(torch.Tensor, "__bool__", read(lambda tensor: False))

    def to(module: nn.Module, device: str) -> nn.Module:
        # torch exchanges the memory of parameters, which such tensors do not have
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None and parameter.device != torch.device(device):
                    moved = parameter.detach().to(device)
                    part._parameters[name] = nn.Parameter(moved, requires_grad=parameter.requires_grad)
            for name, buffer in part._buffers.items():
                part._buffers[name] = None if buffer is None else buffer.to(device)
        return module

    monkeypatch.setattr(nn.Module, "to", to)
    monkeypatch.setattr(FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, raising=False)  # copies stay with us
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch.autograd, "grad", lambda outputs, inputs: [torch.zeros_like(inputs)])
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr("flow_rl.algorithms.construct.require_device", lambda field, value: None)
    for module in (scans, svgd):  # kernels of Warp have tests of their own
        monkeypatch.setattr(module, "uses_warp", lambda *args, **kwargs: False)
    with FakeTensorMode():
        yield reads, parameters


def construct(learner: str, pixels: bool, selector: str = "none", **algorithm):
    """A learner on the GPU, and its environment, which as the stock wrapper does not say where observations are."""
    off_policy = "num_critic_updates" in small_config(learner)["algorithm"]
    few = FEW["off_policy" if off_policy else "on_policy"] | FEW.get(learner, {})
    cfg = small_config(learner, **algorithm, **few) | {"device": GPU}
    cfg["actor"]["selector"]["kind"] = selector
    env = (FilmedPointMass if pixels else PointMass)(8, device=GPU)
    if pixels:
        cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy", "front"]}
        cfg["actor"]["encoder"] = ENCODER
    module, name = cfg["algorithm"]["class_name"].split(":")
    algorithm_class = getattr(__import__(module, fromlist=[name]), name)
    return algorithm_class.construct_algorithm(env.get_observations(), env, cfg, GPU), env


EVERY = [(learner, pixels, "none") for learner in sorted(learners()) for pixels in (False, True)]
EVERY += [("sac_flow", pixels, "best_of_n") for pixels in (False, True)]


@pytest.mark.parametrize(("learner", "pixels", "selector"), EVERY)
def test_an_iteration_stays_on_the_gpu(gpu, learner, pixels, selector):
    """Construction, rollout, returns, losses, optimiser and sampling, with time limits that are no failures."""
    reads, parameters = gpu
    alg, env = construct(learner, pixels, selector, time_limit_is_terminal=False, critic_warmup=0)
    parameters += [parameter for group in alg.optimizer.param_groups for parameter in group["params"]]
    assert {parameter.device for parameter in parameters} == {torch.device(GPU)}
    obs = env.get_observations()
    alg.train_mode()
    with torch.no_grad():
        for _ in range(6):
            obs, rewards, dones, extras = env.step(alg.act(obs))
            alg.process_env_step(obs, rewards, dones, extras)
        assert not reads, "collecting asks the device for numbers"
        alg.compute_returns(obs)
    numbers = alg.update()
    assert {"skipped_steps", "critic_learning_rate"} <= numbers.keys()
    alg.eval_mode()
    with torch.no_grad():
        chunk = alg.get_policy()(obs)
    assert chunk.shape == (8, 4) and chunk.device == torch.device(GPU)
    assert reads <= HOST_READS.keys()


def test_mixed_devices_are_noticed(gpu):
    """What the rehearsal is for; the list of host reads is one that can be left."""
    reads, _ = gpu
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device=GPU) + torch.zeros(2)
    torch.zeros((), device=GPU).item()
    assert reads == {"test_mixed_devices_are_noticed"}
