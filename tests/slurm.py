# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A SLURM cluster of one node on this machine, with its own key, ports and configuration."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
PLACES = f"{os.environ['PATH']}:/usr/sbin"

CONFIGURATION = """
ClusterName=local
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/slurmd
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=10
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=debug Nodes={name} Default=YES MaxTime=INFINITE State=UP
"""


def require_slurm() -> None:
    """Skip a test where SLURM cannot run."""
    absent = [name for name in NEEDED if shutil.which(name, path=PLACES) is None]
    if absent or os.geteuid() != 0:
        pytest.skip(f"needs root and SLURM, apt-get install slurm-wlm munge; missing: {', '.join(absent) or 'root'}")


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster in a folder; yields the variables by which its commands find it."""
    require_slurm()
    configuration, key = folder / "slurm.conf", folder / "munge.key"
    for name in ("state", "slurmd"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # or munged holds its socket for unreachable
    key.write_bytes(secrets.token_bytes(256))
    key.chmod(0o400)
    text = CONFIGURATION.format(name=socket.gethostname(), folder=folder, ports=_free_ports(2))
    configuration.write_text(text)
    variables = {"SLURM_CONF": str(configuration)}
    environment = os.environ | variables | {"PATH": PLACES}
    files = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
    munge = [f"--{option}={folder / name}" for option, name in files.items()]
    daemons = [
        ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]
    started = []
    try:
        for words in daemons:
            log = (folder / f"{words[0]}.out").open("w")
            started.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
            if words[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder)
        _wait(lambda: "idle" in _told(["sinfo", "--noheader", "--format=%t"], environment), folder)
        yield variables
    finally:
        _told(["scancel", "--user=root"], environment)
        for process in reversed(started):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _wait(condition, folder: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in sorted(folder.glob("*.out")))
            raise TimeoutError(f"SLURM did not come up:\n{logs}")
        time.sleep(0.3)


def _told(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True).stdout


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
