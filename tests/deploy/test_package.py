# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Packages: the same policy comes out of them, whatever learnt it, and nothing that has changed is run."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from flow_rl.configs import learners
from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.export import check_trained
from flow_rl.deploy.package import CONTRACT, FORMAT, NETWORK, TOLERANCE, TORCHSCRIPT, write_contract
from flow_rl.models import FlowPolicy
from flow_rl.testing import FilmedPointMass, PointMass
from tests.algorithms.conftest import make_cfg, pretrained
from tests.algorithms.test_pixels import pixels_cfg
from tests.deploy.conftest import export, make_policy, make_samples


def expected(policy: FlowPolicy, samples: dict, noise: torch.Tensor) -> np.ndarray:
    """Chunks of the training policy."""
    with torch.inference_mode():
        chunks = policy.action_normalizer.inverse(policy.sample(policy.get_latent(samples), noise))
    return chunks.view(len(noise), policy.horizon, policy.action_dim).numpy()


def exported(policy: FlowPolicy, package: PolicyPackage, samples: dict, noise: torch.Tensor) -> np.ndarray:
    """Chunks of the package."""
    vectors = torch.cat([samples[group] for group in policy.group_dims], dim=-1).numpy()
    return package.infer(vectors, [samples[name].numpy() for name in policy.image_shapes], noise.numpy())


@pytest.mark.parametrize("pixels", [False, True], ids=["state", "pixels"])
@pytest.mark.parametrize("learner", sorted(learners()))
def test_every_learners_policy_survives_the_journey(learner, pixels, tmp_path):
    """One iteration of learning, a checkpoint, a package, and TorchScript in it: all act alike."""
    from rsl_rl.runners import OnPolicyRunner

    torch.manual_seed(0)
    env, cfg = (FilmedPointMass(8), pixels_cfg(learner)) if pixels else (PointMass(8), make_cfg(learner))
    runner = OnPolicyRunner(env, cfg, log_dir=None, device="cpu")
    runner.learn(1)
    checkpoint = runner.alg.save()
    check_trained(checkpoint)
    policy = FlowPolicy.from_checkpoint(checkpoint)
    package = export(policy, tmp_path / "package")
    samples, noise = make_samples(policy, 500), torch.randn(500, policy.output_dim)
    wanted = expected(policy, samples, noise)
    assert np.abs(exported(policy, package, samples, noise) - wanted).max() < TOLERANCE
    script = torch.jit.load(tmp_path / "package" / TORCHSCRIPT)
    images = [samples[name] for name in policy.image_shapes]
    inputs = (samples["policy"], images, noise) if images else (samples["policy"], noise)
    assert np.abs(script(*inputs).detach().numpy().reshape(wanted.shape) - wanted).max() < TOLERANCE


def test_ten_thousand_observations(tmp_path):
    """Whitened observations and a score drift, where rounding would show first."""
    policy = make_policy(prediction="residual", obs_scaling="whitening", hidden_dims=[128, 128])
    policy.set_score_coefs([0.4, 0.3, 0.2, 0.1])
    package = export(policy, tmp_path / "package")
    samples, noise = make_samples(policy, 10_000), torch.randn(10_000, policy.output_dim)
    difference = exported(policy, package, samples, noise) - expected(policy, samples, noise)
    assert np.abs(difference).max() < 1e-5


def test_the_contract_is_yaml_and_complete(package, vision_package):
    contract = yaml.safe_load((package.folder / CONTRACT).read_text())
    assert contract == json.loads((package.folder / CONTRACT).read_text())
    assert contract["format"] == FORMAT and contract["sampler"]["steps"] == 4
    files = {str(path.relative_to(package.folder)) for path in package.folder.rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} - {CONTRACT} == set(contract["files"])
    center = np.concatenate([term["normalisation"]["center"] for term in contract["observations"]])
    np.testing.assert_allclose(center, make_policy().observer.normalizer.center, rtol=1e-6)
    assert vision_package.cameras == {"front": (3, 16, 16), "wrist": (3, 8, 16)}
    manual = (vision_package.folder / "README.md").read_text()
    assert "`eef_pos`" in manual and "`wrist`" in manual and "stays as it was" in manual and "{" not in manual


def test_whitening_is_described_by_standard_deviations(tmp_path):
    policy = make_policy(obs_scaling="whitening")
    terms = export(policy, tmp_path / "package").contract["observations"]
    scale = np.concatenate([term["normalisation"]["scale"] for term in terms])
    np.testing.assert_allclose(scale, 1.0, rtol=0.3)  # the data are normal(2, 1)


def test_the_network_is_for_any_runtime(package):
    """Its opset is one that TensorRT 10 knows, and its inputs are the contract's."""
    import onnx

    model = onnx.load(package.folder / NETWORK)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    session = onnxruntime.InferenceSession(package.folder / NETWORK)
    assert [entry.name for entry in session.get_inputs()] == ["obs", "noise"]


FILES = ["policy.onnx", "policy.pt", "policy.yaml", "test_vectors.npz", "README.md", "flow_rl/deploy/runner.py"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_refused(name, package, tmp_path):
    folder = shutil.copytree(package.folder, tmp_path / "package")
    data = bytearray((folder / name).read_bytes())
    for place in (0, len(data) // 2, len(data) - 1):
        changed = data.copy()
        changed[place] ^= 1
        (folder / name).write_bytes(changed)
        with pytest.raises(ValueError, match=f"{name} = .*changed.*export the policy again"):
            PolicyPackage(folder)


def test_a_missing_file_is_named(package, tmp_path):
    folder = shutil.copytree(package.folder, tmp_path / "package")
    (folder / "policy.pt").unlink()
    with pytest.raises(FileNotFoundError, match="lacks policy.pt"):
        PolicyPackage(folder)
    with pytest.raises(FileNotFoundError, match=r"has no policy.yaml.*flow-rl export"):
        PolicyPackage(tmp_path)


def rewrite(folder, **changes) -> None:
    """Change the contract, and seal it as its writer would."""
    contract = json.loads((folder / CONTRACT).read_text())
    del contract["checksum"]
    write_contract(folder, contract | changes)


def test_a_newer_format_names_the_version_it_needs(package, tmp_path, monkeypatch):
    folder = shutil.copytree(package.folder, tmp_path / "package")
    monkeypatch.setattr("flow_rl.deploy.package.FORMAT", FORMAT + 1)
    rewrite(folder, flow_rl="9.7.0")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"format = 2 is not valid. Valid: up to 1.*install flow_rl 9.7.0"):
        PolicyPackage(folder)


def test_wrong_test_vectors_are_refused(package, tmp_path):
    folder = shutil.copytree(package.folder, tmp_path / "package")
    with np.load(folder / "test_vectors.npz") as vectors:
        changed = dict(vectors)
    changed["actions"] = changed["actions"] + 2e-5
    np.savez(folder / "test_vectors.npz", **changed)
    rewrite(folder)
    with pytest.raises(ValueError, match=r"test_vectors.npz: difference = .*1e-05"):
        PolicyPackage(folder)


def test_an_export_replaces_the_old_package_as_a_whole(tmp_path, monkeypatch):
    policy = make_policy()
    before = (export(policy, tmp_path / "package").folder / CONTRACT).read_bytes()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="disk"):
        patch.setattr("flow_rl.deploy.export.write_contract", fail)
        export(policy, tmp_path / "package")
    assert (tmp_path / "package" / CONTRACT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def fail(*_) -> None:
    raise RuntimeError("disk full")


def test_untrained_learners_say_so():
    policy = FlowPolicy.from_settings({"obs_groups": {"policy": 5}, "action_dim": 3, "horizon": 4})
    checkpoint = pretrained(policy)
    checkpoint["flow_rl"] |= {"stage": "finetune", "learner": "rldt", "iteration": 0}
    with pytest.raises(
        ValueError, match=r"--checkpoint = 'stage finetune, learner rldt, iteration 0'.*a trained policy"
    ):
        check_trained(checkpoint)


ROBOT = """
import sys
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED and name.split(".")[0] not in sys.stdlib_module_names:
            raise ImportError(f"{name} is not on the robot")

ALLOWED = {"flow_rl", "numpy", "onnxruntime"}
sys.meta_path.insert(0, Blocked())
import numpy as np
import flow_rl.deploy
from flow_rl.deploy import PolicyRunner

assert Path(flow_rl.deploy.__file__).is_relative_to(Path.cwd()), flow_rl.deploy.__file__
runner = PolicyRunner(sys.argv[1], seed=7)
chunk = runner.act({"eef_pos": np.ones(3), "gripper_qpos": np.zeros(2)})
assert not chunk.is_held, chunk.reason
try:
    import torch
except ImportError:
    print(*chunk.actions.ravel().tolist())
"""


def test_numpy_and_onnxruntime_are_all_a_robot_needs(package):
    """In another process, where nothing else can be imported, the package's own files give the same actions."""
    from flow_rl.deploy import PolicyRunner

    run = subprocess.run([sys.executable, "-c", ROBOT, "."], cwd=package.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    here = PolicyRunner(package, seed=7).act({"eef_pos": np.ones(3), "gripper_qpos": np.zeros(2)}).actions
    np.testing.assert_allclose([float(word) for word in run.stdout.split()], here.ravel(), atol=1e-6)


def test_the_robots_computer_can_check_and_time_a_package(vision_package, tmp_path):
    command = [sys.executable, "-m", "flow_rl.deploy", "--num_calls", "20"]
    run = subprocess.run([*command, vision_package.folder], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "FlowRL-Nowhere: intact" in run.stdout and "20 decisions on one thread: p50" in run.stdout
    run = subprocess.run([*command, tmp_path], capture_output=True, text=True)
    assert run.returncode == 1 and "has no policy.yaml" in run.stderr
