# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Jobs are handed to this machine, to a real SLURM and to a real Ray; commands are played by stand-ins."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from flow_rl.benchmark import launchers, machine
from flow_rl.benchmark.launchers import Job, local, slurm
from flow_rl.cli import benchmark
from flow_rl.utils.check import InputError
from tests.slurm import PLACES, cluster

from .test_harness import TASK, Player, make_suite


def jobs(folder, *commands):
    """Jobs of a shell's that write to files."""
    (folder / launchers.FOLDER).mkdir(parents=True, exist_ok=True)
    return [
        Job(f"job {index}", ("bash", "-c", command), folder / launchers.FOLDER / f"{index}.log")
        for index, command in enumerate(commands)
    ]


def test_jobs_are_what_is_missing(tmp_path):
    """First what makes policies, once each, then the runs; each a command that a user could type."""
    player = Player(make_suite(), tmp_path)
    makers, runs = launchers.stages(player, tmp_path / "toy.yaml")
    assert [job.title for job in makers] == [TASK] and "--bases" in makers[0].command
    assert [job.title for job in runs] == [run.title for run in player.runs] and len(runs) == 4
    assert runs[1].command[:4] == (sys.executable, "-m", "flow_rl.cli.main", "benchmark")
    assert runs[1].command[-2:] == ("--only", f"{TASK} rldt seed 0") and "--bases" not in runs[1].command
    assert runs[1].log != runs[0].log and runs[1].log.parent.is_dir()
    done = Player(make_suite(), tmp_path, only=["*score_flow*"])
    done.run()
    (runs,) = launchers.stages(player, tmp_path / "toy.yaml")
    assert [job.title for job in runs] == [f"{TASK} rldt seed 0", f"{TASK} rldt seed 1"]


def test_a_job_makes_the_policy_alone(tmp_path):
    player = Player(make_suite(), tmp_path, only=["*rldt seed 0"])
    assert player.make_bases() and player.titles == [f"{TASK} {part}" for part in ("collect", "pretrain", "evaluate")]
    broken = Player(make_suite(base_seed=1), tmp_path, broken=[f"{TASK} pretrain"])
    assert not broken.make_bases()


def test_jobs_do_not_fight_for_gpus_and_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(machine, "memory", lambda: 64.0)
    monkeypatch.setattr(machine, "visible_gpus", lambda variables: ["2", "5"])
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in local.slots(None, "cuda:0")] == ["2", "5"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in local.slots(3, "cuda:0")] == ["2", "5", "2"]
    assert {slot["OMP_NUM_THREADS"] for slot in local.slots(None, "cuda:0")} == {"8"}
    assert local.slots(None, "cuda:1") == [{"OMP_NUM_THREADS": "16"}], "the GPU that was asked for, for all"
    assert local.slots(None, "cpu") == [{"OMP_NUM_THREADS": "1"}] * 16
    monkeypatch.setattr(machine, "memory", lambda: 9.0)
    assert len(local.slots(None, "cpu")) == 2 and len(local.slots(5, "cpu")) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert local.slots(1, "cpu") == [{"OMP_NUM_THREADS": "3"}]


def test_gpus_are_those_that_a_command_sees(tmp_path, monkeypatch):
    """As the driver's tool says, played by a script: two GPUs, of which the second is asked for by its index."""
    tool = tmp_path / "nvidia-smi"
    lines = "echo 'NVIDIA H200, 1024'; case $* in *--id=*) ;; *) echo 'NVIDIA L4, 512';; esac"
    tool.write_text(f"#!/bin/bash\n{lines}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert machine.gpu_names({}) == ["NVIDIA H200", "NVIDIA L4"] and machine.visible_gpus({}) == ["0", "1"]
    assert machine.gpu_names({"CUDA_VISIBLE_DEVICES": "0"}) == ["NVIDIA H200"]
    assert machine.gpu_memory({}) == 1.0 and machine.gpu_names({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert machine.visible_gpus({"CUDA_VISIBLE_DEVICES": "3, 4"}) == ["3", "4"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--launcher", "slurm", "--slurm", "--partition=gpu"], "expected at least one argument"),
        (["--launcher", "slurm", "--slurm", "=gpu"], "--slurm = '=gpu' is not valid"),
        (["--slurm", "partition=gpu"], "--slurm is for --launcher slurm, and this is local"),
        (["--launcher", "many"], "invalid choice: 'many'"),
        (["--jobs", "0"], "--jobs 0 is not a number of jobs"),
    ],
)
def test_mistakes_are_refused_in_one_line(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        benchmark.main(["lift", *words, "--records", str(tmp_path), "--output", str(tmp_path)])
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_where_there_is_no_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no sbatch on this machine. .* --launcher local or ray"):
        slurm.launch(tmp_path, [jobs(tmp_path, "true")], {})


def test_devices_of_jobs_that_run_elsewhere():
    """This machine, such as a login node, says nothing of them."""
    assert benchmark.default_device("slurm", {"partition": "gpu"}) == "cpu"
    for told in ({"gpus": "1"}, {"gres": "gpu:1"}, {"gpus_per_node": "2"}):
        assert benchmark.default_device("slurm", told) == "cuda:0"
    assert benchmark.default_device("ray", {"num_gpus": "0.5"}) == "cuda:0"
    assert benchmark.default_device("ray", {"num_gpus": "0"}) == "cpu"


@pytest.fixture(scope="module")
def slurm_cluster(tmp_path_factory):
    """A real SLURM; what it is told by variables holds for this file's tests."""
    with cluster(tmp_path_factory.mktemp("slurm")) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in (variables | {"PATH": PLACES}).items():
            patch.setenv(name, value)
        yield


def until(condition, seconds=240.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, subprocess.run(["squeue", "--long"], capture_output=True, text=True).stdout
        time.sleep(0.5)


def idle():
    return subprocess.run(["squeue", "--noheader"], capture_output=True, text=True).stdout.strip() == ""


@pytest.mark.slow
def test_slurm_runs_stages_in_order_and_what_is_queued_once(tmp_path, slurm_cluster):
    """Jobs that are in the queue are not submitted again; what comes later waits for them, too."""
    told = []
    first = jobs(tmp_path, f"sleep 8; echo made >{tmp_path}/base")
    later = jobs(tmp_path, *(f"cat {tmp_path}/base; echo {index} 'it is'" for index in range(3)))
    later = [Job(f"run {job.title}", job.command, job.log) for job in later]
    submitted = slurm.launch(tmp_path, [first, later], {"job_name": "toy"}, at_a_time=2, say=told.append)
    assert len(submitted) == 2 and told[0].startswith("1 jobs are array ")
    more = [*later, *jobs(tmp_path, f"cat {tmp_path}/base")]
    assert slurm.in_queue(tmp_path / "slurm").keys() == {first[0].title, *(job.title for job in later)}
    (third,) = slurm.launch(tmp_path, [first, more[:3] + [Job("new", more[3].command, tmp_path / "new.log")]], {})
    assert third not in submitted
    until(idle)
    assert [job.log.read_text() for job in later] == [f"made\n{index} it is\n" for index in range(1)] + [
        f"made\n{index} it is\n" for index in (1, 2)
    ]
    assert (tmp_path / "new.log").read_text() == "made\n" and slurm.in_queue(tmp_path / "slurm") == {}


@pytest.mark.slow
def test_a_job_whose_time_is_nearly_over_is_queued_again(tmp_path, slurm_cluster):
    """It is asked to end, as training is to keep a checkpoint, and begins again with the same command."""
    started = f"echo $SLURM_RESTART_COUNT >>{tmp_path}/starts"
    body = f"trap 'echo kept >>{tmp_path}/starts; exit 143' TERM; if [[ $SLURM_RESTART_COUNT ]]; then exit; fi"
    (number,) = slurm.launch(tmp_path, [jobs(tmp_path, f"{started}; {body}; sleep 600 & wait")], {})
    until((tmp_path / "starts").exists)
    subprocess.run(["scancel", "--signal=USR1", "--batch", number], check=True)  # what the scheduler does in time
    until(lambda: (tmp_path / "starts").read_text() == "\nkept\n1\n" and idle())


@pytest.mark.slow
def test_what_slurm_refuses_is_told_in_one_line(tmp_path, slurm_cluster):
    with pytest.raises(InputError, match=r"--slurm: sbatch refuses .*invalid partition.*see sbatch --help") as error:
        slurm.launch(tmp_path, [jobs(tmp_path, "true")], {"partition": "nowhere"})
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_ray_runs_stages_in_order(tmp_path, monkeypatch):
    """Variables of ours reach the jobs; one that fails holds up no other, and is told."""
    pytest.importorskip("ray", reason="needs ray: pip install ray, or flow-rl[cluster]")
    from flow_rl.benchmark.launchers import ray

    monkeypatch.setenv("FLOW_RL_EXTERNAL", "there")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    told = []
    first = jobs(tmp_path, f"echo made >{tmp_path}/base", "exit 3")
    later = jobs(tmp_path, *(f"cat {tmp_path}/base; echo {index} $FLOW_RL_EXTERNAL" for index in range(3)))
    later = [Job(f"run {job.title}", job.command, tmp_path / f"{index}.out") for index, job in enumerate(later)]
    with contextlib.chdir(tmp_path):
        assert ray.launch([first, later], {"num_cpus": "0.5"}, told.append) == ["job 1"]
    assert [job.log.read_text() for job in later] == [f"made\n{index} there\n" for index in range(3)]
    assert sorted(told[:2]) == ["job 0: done", f"job 1: failed with 3; see {first[1].log}"] and len(told) == 5


def test_amounts_of_ray_are_numbers():
    from flow_rl.benchmark.launchers import ray

    asked = ray.resources({"num_gpus": "0.5", "large": "1"})
    assert asked == {"num_cpus": 1.0, "num_gpus": 0.5, "resources": {"large": 1.0}}
    with pytest.raises(InputError, match="--ray num_cpus=many: 'many' is no number. Valid: address, num_cpus=2"):
        ray.resources({"num_cpus": "many"})
