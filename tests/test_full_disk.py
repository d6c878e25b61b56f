# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A disk that is full while something is written: what was there stays whole, training goes on and tries again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from flow_rl.benchmark.records import write_json
from flow_rl.demos.inspect import keep
from flow_rl.demos.reader import load_demos
from flow_rl.demos.writer import DemoWriter
from flow_rl.utils.check import InputError
from flow_rl.utils.checkpoint import load_checkpoint, save_checkpoint
from flow_rl.utils.files import append
from tests.deploy.conftest import export, make_policy
from tests.policies.conftest import make_checkpoint
from tests.preemption.training import evaluations, make_runner

SIZE = 8
"""Size of the disk [MiB]."""


class Disk:
    """A small disk that can be filled up."""

    def __init__(self, folder: Path):
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self, left: int = 0) -> None:
        """Leave so many bytes."""
        free = shutil.disk_usage(self.folder).free
        with contextlib.suppress(OSError), self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, self._ballast.stat().st_size + free - left)

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Names of all files."""
        return {path.name for path in self.folder.rglob("*") if path.is_file()} - {"ballast"}


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_checkpoint(disk, tmp_path):
    path = disk.folder / "policy.pt"
    make_checkpoint(tmp_path / "source.pt")
    checkpoint = load_checkpoint(tmp_path / "source.pt")
    save_checkpoint(path, checkpoint)
    old = path.read_bytes()
    disk.fill(left=4096)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == old and disk.names() == {"policy.pt"}


def test_a_record_and_a_line_of_a_log(disk):
    write_json(disk.folder / "record.json", {"a": 1})
    append(disk.folder / "log.jsonl", '{"a": 1}\n')
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        write_json(disk.folder / "record.json", {"a": list(range(10_000))})
    with pytest.raises(OSError, match="No space left"):
        append(disk.folder / "log.jsonl", 10_000 * "half a line")
    assert json.loads((disk.folder / "record.json").read_text()) == {"a": 1}
    assert (disk.folder / "log.jsonl").read_text() == '{"a": 1}\n'
    assert disk.names() == {"record.json", "log.jsonl"}


def test_demonstrations(disk):
    """Those that were finished are there, and the writer goes on when there is room."""
    path, values = disk.folder / "demos.hdf5", np.random.default_rng(0).normal(size=(4000, 8))
    episode = {"obs": {"policy": values}, "actions": values, "rewards": values[:, 0], "dones": values[:, 0] > 9}
    with DemoWriter(path) as writer:
        with pytest.raises(OSError, match="No space left.*demos.hdf5"):
            for _ in range(100):
                writer.write(**episode)
        written = writer.num_demos
        assert 0 < written < 100
        disk.fill()
    assert load_demos(path).num_demos == written
    with pytest.raises(OSError):
        keep(path, disk.folder / "some.hdf5")
    assert load_demos(path).num_demos == written and disk.names() == {"demos.hdf5"}


def test_a_package(disk):
    folder, policy = disk.folder / "package", make_policy()
    export(policy, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    disk.fill(left=8192)
    with pytest.raises(Exception, match="(?i)no space|cannot|fail|write"):  # what PyTorch's exporters make of it
        export(policy, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in disk.folder.iterdir() if path.name != "ballast"] == ["package"]


def at_iteration(runner, calls: dict) -> None:
    """Call functions when so many iterations lie behind, before checkpoints are tried again."""
    check = runner._check_signal

    def checked(iteration: int) -> None:
        calls.get(iteration, lambda: None)()
        check(iteration)

    runner._check_signal = checked


def test_training_goes_on_and_tries_again(disk, capsys):
    torch.set_num_threads(1)
    runner = make_runner(disk.folder / "run", "score_flow", 8)
    at_iteration(runner, {1: disk.fill, 5: disk.clear})
    runner.learn(8)
    out = capsys.readouterr().out
    assert "could not be written (OSError: [Errno 28] No space left on device" in out
    assert "Training goes on, and tries again after the next iteration" in out
    numbers = {int(path.stem.removeprefix("model_")) for path in (disk.folder / "run").glob("model_[0-9]*.pt")}
    assert 7 in numbers and not list((disk.folder / "run").glob("*.partial"))
    for number in numbers:
        assert load_checkpoint(disk.folder / "run" / f"model_{number}.pt")["flow_rl"]["iteration"] == number + 1
    rows = [row["iteration"] for row in evaluations(disk.folder / "run")]
    assert rows == sorted(set(rows)) and rows[-1] == 8 and rows[0] == 0, "what was due is written when there is room"


def test_training_that_ends_without_a_checkpoint_says_so(disk):
    torch.set_num_threads(1)
    runner = make_runner(disk.folder / "run", "score_flow", 4)
    at_iteration(runner, {1: disk.fill})
    with pytest.raises(InputError, match=r"model_3.pt could not be written, and training has ended\. What is there is"):
        runner.learn(4)
