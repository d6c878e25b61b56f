# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The templates for SLURM, and a job of the real one that is warned, killed, and done in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.preemption.training import assert_equal_runs
from tests.slurm import PLACES, cluster

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts" / "cluster"
TEMPLATES = sorted(path.name for path in FOLDER.glob("*.sbatch"))
HERE = {
    "one_gpu.sbatch": ["--gpus=0", "--mem=0", "--cpus-per-task=1"],
    "seeds.sbatch": ["--gpus=0", "--mem=0", "--cpus-per-task=1", "--array=0-1"],
    "one_node.sbatch": ["--gpus-per-node=0"],
    "many_nodes.sbatch": ["--gpus-per-node=0", "--nodes=1"],
}
"""What a machine of two cores without a GPU needs besides."""
ITERATIONS = 12


@pytest.mark.parametrize("name", ["requeue.sh", *TEMPLATES])
def test_templates_are_scripts(name):
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) <= 40
    checked = subprocess.run(["bash", "-n", FOLDER / name], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    if name in TEMPLATES:
        options = {line.split()[1] for line in lines if line.startswith("#SBATCH")}
        assert {"--requeue", "--open-mode=append", "--signal=B:USR1@120"} <= options


def run(script: str, tmp_path: Path, **variables: str) -> tuple[int, list[str]]:
    """Run a line with what the templates source; returns its exit code, and what SLURM was asked for."""
    asked = tmp_path / "asked"
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    (tmp_path / "scontrol").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"} | variables
    found = subprocess.run(["bash", "-uc", f"source {FOLDER / 'requeue.sh'}; {script}"], env=environment, timeout=60)
    return found.returncode, asked.read_text().splitlines() if asked.exists() else []


STUBBORN = 'trap "sleep 0.5; exit 143" TERM; touch READY; while true; do sleep 0.05; done'


@pytest.mark.parametrize(
    ("program", "signals", "code", "requeued"),
    [
        ("exit 0", "", 0, False),
        ("exit 3", "", 3, False),
        ("kill -9 $$", "", 137, True),  # as when a node's memory is full
        (STUBBORN, "USR1", 143, True),  # SLURM's warning
        (STUBBORN, "USR1 USR1 TERM", 143, True),
        (STUBBORN, "TERM", 143, False),  # SLURM takes the job back, and queues it by itself
        ('trap "exit 0" TERM; touch READY; while true; do sleep 0.05; done', "USR1", 0, False),  # it was done
    ],
)
def test_what_is_queued_again(program, signals, code, requeued, tmp_path):
    ready = tmp_path / "ready"
    sent = "".join(f"kill -{name} $$; sleep 0.1; " for name in signals.split())
    warn = f"(while [[ ! -e {ready} ]]; do sleep 0.05; done; {sent}) & " if signals else ""
    line = f"{warn}run_until_done bash -c '{program.replace('READY', str(ready))}'"
    assert run(line, tmp_path) == (code, ["requeue 7"] if requeued else [])


def test_what_is_killed_again_and_again_stays_away(tmp_path):
    assert run("run_until_done bash -c 'kill -9 $$'", tmp_path, SLURM_RESTART_COUNT="3") == (137, [])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A real SLURM; what its commands are told by variables."""
    with cluster(tmp_path_factory.mktemp("slurm")) as variables:
        yield os.environ | variables | {"PATH": PLACES}


def submit(slurm: dict[str, str], name: str, *words: str, **variables: str) -> str:
    command = ["sbatch", "--parsable", *HERE[name], f"--output={variables['RUNS']}/{name}.out"]
    found = subprocess.run(
        [*command, FOLDER / name, *words], cwd=ROOT, env=slurm | variables, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def until(condition, seconds: float = 1200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_run(name, slurm, tmp_path):
    """What they call is a command of training, once or once for each seed."""
    program, asked = tmp_path / "flow_rl.sh", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    program.chmod(0o755)
    submit(slurm, name, "--task", "T", FLOW_RL=str(program), NAME="lift", RANKS="2", RUNS=str(tmp_path))
    number = 2 if name == "seeds.sbatch" else 1
    until(lambda: asked.exists() and len(asked.read_text().splitlines()) == number, 300)
    for line in asked.read_text().splitlines():
        assert line.startswith("train --rl_library rsl_rl --resume auto ") and line.endswith(" --task T")
        assert "--run_timestamp lift" in line


@pytest.mark.slow
@pytest.mark.timeout(3600)  # SLURM waits minutes before it starts a job again
def test_a_job_that_is_warned_and_killed_goes_on(slurm, tmp_path):
    """SLURM's warning in one life, the death of the process in the next; the third ends as an undisturbed run."""
    program, folder = tmp_path / "flow_rl.sh", tmp_path / "lift"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.preemption.program "$@"\n')
    program.chmod(0o755)
    words = ["train", "--resume", "auto", "--grace", "90", "--max_iterations", str(ITERATIONS)]
    straight = [program, *words, "--run_timestamp", "straight"]
    subprocess.run(straight, cwd=ROOT, env=slurm | {"RUNS": str(tmp_path)}, check=True)
    variables = {"FLOW_RL": str(program), "NAME": "lift", "RUNS": str(tmp_path)}
    job = submit(slurm, "one_gpu.sbatch", "--max_iterations", str(ITERATIONS), **variables)
    until((folder / "model_3.pt").exists)
    subprocess.run(["scancel", "--signal=USR1", "--batch", job], env=slurm, check=True)
    until((folder / "model_6.pt").exists)
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    until((folder / f"model_{ITERATIONS - 1}.pt").exists)
    log = tmp_path / "one_gpu.sbatch.out"
    until(lambda: "ended with 0, restart 2" in log.read_text(), 60)
    assert "ended with 143, restart 0" in log.read_text() and "ended with 137, restart 1" in log.read_text()
    assert_equal_runs(tmp_path / "straight", folder, ITERATIONS)
