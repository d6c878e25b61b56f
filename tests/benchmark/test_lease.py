# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Who holds a folder, how others learn of its end, and that nobody takes it from who lives."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from flow_rl.benchmark import lease
from flow_rl.benchmark.lease import claimed, is_held, lease_path, owner_of

HOLD = """
import sys, time
from pathlib import Path
from flow_rl.benchmark.lease import claimed
with claimed(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def short(monkeypatch):
    """Signs of life every fifth of a second, for one."""
    monkeypatch.setattr(lease, "DURATION", 1.0)
    monkeypatch.setattr(lease, "HEARTBEAT", 0.2)


def elsewhere(folder):
    """A lease as a process on another machine leaves it."""
    lines = ["filelock/2", "pid=1", "host=elsewhere", "mode=lease", "token=0123", f"duration={lease.DURATION}"]
    lease_path(folder).write_text("\n".join(lines) + "\n")


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    folder = tmp_path / "seed_0"
    assert not is_held(folder)
    with claimed(folder) as mine, claimed(folder) as theirs:
        assert mine and not theirs and is_held(folder)
        assert owner_of(folder).startswith(f"process {os.getpid()} on ")
    assert not is_held(folder) and list(folder.iterdir()) == []
    with pytest.raises(KeyError), claimed(folder) as mine:
        assert mine
        raise KeyError
    with claimed(folder) as mine:
        assert mine


def test_a_lease_ends_with_its_owner(tmp_path):
    """Also when it could say nothing any more."""
    folder = tmp_path / "seed_0"
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "True\n"
    with claimed(folder) as mine:
        assert not mine and is_held(folder)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert not is_held(folder) and lease_path(folder).exists()
    with claimed(folder) as mine:
        assert mine


def test_an_owner_on_another_machine_is_gone_when_it_is_silent(tmp_path, short):
    folder = tmp_path / "seed_0"
    elsewhere(folder)
    assert is_held(folder) and owner_of(folder) == "process 1 on elsewhere"
    start = time.monotonic()
    with claimed(folder) as mine:
        assert mine and time.monotonic() - start >= lease.DURATION


def test_an_owner_on_another_machine_lives_while_it_gives_signs(tmp_path, short):
    folder, ended = tmp_path / "seed_0", threading.Event()
    elsewhere(folder)

    def beat():
        while not ended.wait(lease.HEARTBEAT):
            lease_path(folder).touch()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with claimed(folder) as mine:
            assert not mine
    finally:
        ended.set()
        thread.join()


def test_who_loses_a_folder_is_told(tmp_path, short):
    folder, lost = tmp_path / "seed_0", threading.Event()
    with claimed(folder, lost.set) as mine:
        assert mine and not lost.wait(3 * lease.HEARTBEAT)
        lease_path(folder).unlink()
        elsewhere(folder)
        assert lost.wait(60)
