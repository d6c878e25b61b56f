# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Checkpoints: safe to read, written whole or not at all, and clear about what does not fit."""

import os
import pickle
import stat
import subprocess
from pathlib import Path

import pytest
import torch

from flow_rl.models import FlowPolicy, check_compatible
from flow_rl.utils.checkpoint import describe, load_checkpoint, on_cpu, revision, save_checkpoint


@pytest.fixture
def checkpoint() -> dict:
    policy = FlowPolicy.from_settings({"obs_groups": {"policy": 3}, "action_dim": 2, "hidden_dims": [8], "horizon": 2})
    return {
        "actor_state_dict": policy.state_dict(),
        "iter": 0,
        "infos": None,
        "flow_rl": describe(policy.settings, stage="pretrain", learner=None, task="Lift", seed=1),
    }


def test_round_trip(checkpoint, tmp_path):
    """What was written is read, and builds the policy again."""
    save_checkpoint(tmp_path / "new" / "policy.pt", checkpoint)
    found = load_checkpoint(tmp_path / "new" / "policy.pt")
    assert found["flow_rl"] == checkpoint["flow_rl"]
    assert FlowPolicy.from_checkpoint(found).output_dim == 4


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state": {0: x}}, lambda x: [(x,)]])
def test_every_tensor_is_brought_to_the_cpu(tmp_path, wrap):
    """Meta tensors stand for those of a GPU: they can be saved as they are, but not be brought to the CPU."""
    with pytest.raises(NotImplementedError, match="meta tensor"):
        save_checkpoint(tmp_path / "policy.pt", {"optimizer_state_dict": wrap(torch.empty(2, device="meta"))})
    written = {"optimizer_state_dict": wrap(torch.ones(2))}
    save_checkpoint(tmp_path / "policy.pt", written)
    assert str(torch.load(tmp_path / "policy.pt", weights_only=True)) == str(written)


@pytest.mark.gpu
def test_a_checkpoint_of_a_gpu_is_read_to_the_cpu(checkpoint, tmp_path):
    actor = {name: tensor.cuda() for name, tensor in checkpoint["actor_state_dict"].items()}
    save_checkpoint(tmp_path / "policy.pt", checkpoint | {"actor_state_dict": actor})
    found = torch.load(tmp_path / "policy.pt", weights_only=True)["actor_state_dict"]
    assert {tensor.device.type for tensor in found.values()} == {"cpu"}


def test_a_state_keeps_what_modules_note_in_it():
    state = torch.nn.BatchNorm1d(2).state_dict()
    assert on_cpu(state)._metadata == state._metadata and list(on_cpu(state)) == list(state)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read(checkpoint, tmp_path, umask):
    before = os.umask(umask)
    try:
        save_checkpoint(tmp_path / "policy.pt", checkpoint)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "policy.pt").stat().st_mode) == 0o666 & ~umask


def test_interrupted_write_keeps_the_old_file(checkpoint, tmp_path, monkeypatch):
    """Whatever goes wrong while writing, the file is the old one and nothing is left over."""
    path = tmp_path / "policy.pt"
    save_checkpoint(path, checkpoint)
    old = path.read_bytes()

    def fail(value, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["policy.pt"]


def test_missing_file(tmp_path):
    """The message names the path and what makes such a file."""
    with pytest.raises(FileNotFoundError, match=r"nowhere.pt does not exist.*flow-rl pretrain"):
        load_checkpoint(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_truncated_file(checkpoint, tmp_path, keep):
    """A file cut short is called unreadable."""
    path = tmp_path / "policy.pt"
    save_checkpoint(path, checkpoint)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ValueError, match="policy.pt cannot be read: it is truncated"):
        load_checkpoint(path)


def test_code_is_not_executed(tmp_path):
    """A pickle that would run code is refused without running it."""

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"flow_rl": Trap()}))
    torch.save({"flow_rl": Trap()}, tmp_path / "trap2.pt")
    for name in ("trap.pt", "trap2.pt"):
        with pytest.raises(ValueError, match="cannot be read"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_foreign_and_older_files(checkpoint, tmp_path):
    """Files of other libraries and of other formats are told apart."""
    torch.save({"model": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match="holds no flow policy"):
        load_checkpoint(tmp_path / "foreign.pt")
    checkpoint["flow_rl"]["format"] = 0
    save_checkpoint(tmp_path / "old.pt", checkpoint)
    with pytest.raises(ValueError, match="has format 0; this version of flow_rl reads 1"):
        load_checkpoint(tmp_path / "old.pt")


def test_compatibility(checkpoint):
    """The number of flow steps may differ; widths and tasks may not."""
    description = checkpoint["flow_rl"]
    here = dict(description["policy"])
    check_compatible(description, here | {"num_flow_steps": 9, "obs_clip": None})
    del description["policy"]["obs_scaling"]  # as before it could be chosen
    check_compatible(description, here)
    with pytest.raises(
        ValueError, match=r"another task: obs_dim 3 vs 19 .*made for task Lift, this is Can.*--task Can"
    ):
        check_compatible(description, here | {"obs_groups": {"policy": 19}}, "Can")
    with pytest.raises(ValueError, match=r"another network: hidden_dims .*agent.actor.hidden_dims=\[8\]"):
        check_compatible(description, here | {"hidden_dims": [4, 4]})


def test_revision_is_the_commit_of_this_checkout(monkeypatch):
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    ).stdout
    assert revision().removesuffix("-dirty") == head.strip()
    revision.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert revision() is None
    revision.cache_clear()
