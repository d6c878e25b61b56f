# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From a checkpoint to a package, and from there back into the simulator, on both engines."""

import json
import re
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from flow_rl.deploy import PolicyPackage
from flow_rl.models import FlowPolicy
from flow_rl.utils.checkpoint import load_checkpoint
from tests.scripts.test_chain import TASK, checkpoint, demos, folder, run  # noqa: F401
from tests.tasks.conftest import make_env  # noqa: F401

pytestmark = [pytest.mark.sim, pytest.mark.slow]


@pytest.fixture(scope="module")
def package(folder, checkpoint, demos):  # noqa: F811
    """Package of a policy that has hardly been trained."""
    words = ["--checkpoint", checkpoint, "--output", folder / "package", "--demos", demos]
    out = run(folder, "export", *TASK, "physics=ovphysx", *words)
    assert "MB in" in out and "intact and verified" in out
    assert float(re.search(r"differs from the checkpoint by at most (\S+)", out)[1]) < 1e-5
    return PolicyPackage(folder / "package")


def test_the_package_acts_as_its_checkpoint(package, checkpoint):  # noqa: F811
    policy = FlowPolicy.from_checkpoint(load_checkpoint(checkpoint))
    with np.load(package.folder / "test_vectors.npz") as vectors:
        obs, noise, actions = (torch.from_numpy(vectors[name]) for name in ("obs", "noise", "actions"))
    assert len(obs) == 32 and obs.std(dim=0).max() > 0.01  # recorded from different moments
    with torch.inference_mode():
        wanted = policy.action_normalizer.inverse(policy.sample(policy.get_latent({"policy": obs}), noise))
    torch.testing.assert_close(actions, wanted)


@pytest.mark.parametrize("physics", ["ovphysx", "newton_mjwarp"])
def test_packages_are_measured_on_both_engines(package, folder, physics):  # noqa: F811
    """One row per condition."""
    scene = [f"physics={physics}", "env.episode_length_s=8", "--num_envs", 4]
    words = ["--package", package.folder, "--num_episodes", 4, "--output", folder / f"{physics}.json"]
    if physics == "ovphysx":
        words += ["--delay", "1,3", "--sensor_noise", 0.02, "--execute", 2, "--ensemble", 0.1]
    out = run(folder, "evaluate", *TASK, *scene, *words)
    rows = [line.split(" | ")[0] for line in out.partition("| Condition")[2].splitlines() if line.startswith("| ")]
    assert rows[1:] == ["| none", "| delay 1", "| delay 3", "| sensor noise 0.02"][: 4 if physics == "ovphysx" else 1]
    result = json.loads((folder / f"{physics}.json").read_text())
    assert result["episodes"] == 4 and result["latency"]["calls"] > 0
    assert [f"| {name}" for name in result["conditions"]] == rows[1:]


def test_leapps_export_agrees_with_ours(package, folder, checkpoint, make_env):  # noqa: F811
    """Given what it asks for in the simulator, LEAPP's network gives the package's chunk from zero noise."""
    words = ["--rl_library", "rsl_rl", *TASK, "--checkpoint", str(checkpoint), "physics=ovphysx"]
    words += ["agent.actor.hidden_dims=[64,64]", "--export_save_path", folder]
    # in a true process: LEAPP traces what is imported after it
    command = [sys.executable, "-m", "isaaclab", "leapp", "export", *words]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    graph = folder / "FlowRL-Lift-Franka" / "FlowRL-Lift-Franka"
    model = yaml.safe_load(graph.with_suffix(".yaml").read_text())["models"]["FlowRL-Lift-Franka"]
    session = onnxruntime.InferenceSession(graph.with_suffix(".onnx"))
    with make_env(4, 1, physics="ovphysx") as env:
        obs, _ = env.reset(seed=0)
        for _ in range(3):
            inputs = {}
            for entry in model["inputs"]:
                _, entity, name = entry["isaaclab_connection"].split(":")
                inputs[entry["name"]] = getattr(env.scene[entity].data, name).torch.numpy().reshape(entry["shape"])
            (chunk,) = session.run(None, inputs)
            ours = package.infer(obs["policy"].numpy(), [], np.zeros((1, 28), dtype=np.float32))
            np.testing.assert_allclose(chunk.reshape(ours.shape), ours.clip(-1.0, 1.0), atol=1e-4)
            obs, *_ = env.step(torch.from_numpy(chunk.reshape(1, 28)))
