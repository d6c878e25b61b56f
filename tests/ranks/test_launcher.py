# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The command line of several ranks, and the last word when one of them dies."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from flow_rl.cli import main
from flow_rl.ranks import launcher
from tests.commands import run_python
from tests.ranks.forked import PYTHONPATH

ROOT = Path(__file__).parents[2]
CALL = """
import argparse, sys
from flow_rl.ranks import launcher
parser = argparse.ArgumentParser()
launcher.add_options(parser)
launcher.launch(parser.parse_args(["--nproc_per_node=2"]), sys.argv[2:], entry="tests.ranks.worker")
"""


def failure(exitcode: int, message: str | None = None) -> ProcessFailure:
    """How a process ended, and the error that it recorded."""
    made = ProcessFailure(local_rank=0, pid=7, exitcode=exitcode, error_file="none")
    if message is not None:
        made.message = {"message": message}
    return made


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("kill", 137, "was killed by SIGKILL, as the system does when memory runs out."),
        ("raise", 1, "ended with exit code 1: ArithmeticError: nothing adds up."),
        ("refuse", 2, "ended with exit code 2."),
    ],
)
def test_a_rank_that_dies_ends_the_others_with_one_last_line(how, code, told, tmp_path):
    run = run_python("-c", CALL, how, tmp_path / "died", cwd=ROOT, PYTHONPATH=PYTHONPATH)
    assert time.monotonic() - float((tmp_path / "died").read_text()) < 60
    lines = run.stderr.strip().splitlines()
    assert run.returncode == code, run.stderr
    assert lines[-1].startswith("[flow_rl] error: rank 1 of 2 (process ")
    assert lines[-1].endswith(f"{told} The other was ended.")
    if how != "kill":
        said = "ArithmeticError: nothing adds up" if how == "raise" else "[flow_rl] error: this will not do"
        assert any(line.endswith(said) for line in lines[:-1]), "what it said last is shown"


@pytest.mark.parametrize(
    ("failures", "rank"),
    [
        (
            {
                0: failure(1, "RuntimeError: [gloo/transport/tcp/pair.cc:1] Connection closed by peer"),
                1: failure(-signal.SIGSEGV),
            },
            1,
        ),
        ({0: failure(-signal.SIGTERM), 1: failure(1, "ValueError: no")}, 1),
        ({1: failure(1, "ValueError: no"), 0: failure(1, "ValueError: no")}, 1),
        ({0: failure(-signal.SIGTERM)}, 0),
    ],
)
def test_who_has_lost_another_rank_is_not_to_blame(failures, rank):
    assert launcher.culprit(ChildFailedError("train", failures))[0] == rank


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max_restarts", "1"], "--nproc_per_node = None is not valid. Valid: 1 or more. Remedy: use 1."),
        (["--nproc_per_node", "0"], "--nproc_per_node = 0 is not valid. Valid: 1 or more."),
        (["--nproc_per_node", "2", "--max_restarts=-1"], "--max_restarts = -1 is not valid."),
        (["--nproc_per_node", "2", "--nnodes", "2"], "--rdzv_endpoint = None is not valid. Valid: HOST:PORT"),
        (["--nproc_per_node=2", "--nnodes=2", "--rdzv_endpoint=a:1"], "--run_timestamp = None is not valid."),
        (["--nproc_per_node", "2", "--device", "cuda"], "--nproc_per_node = 2 is not valid. Valid: up to 0, the GPUs"),
    ],
)
def test_mistakes_are_one_line(words, message, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(SystemExit) as refusal:
        main.main(["train", "--task", "T", *words])
    (line,) = capsys.readouterr().err.splitlines()
    assert refusal.value.code == 2 and line.startswith(f"[flow_rl] error: {message}")


def test_ranks_get_the_command_line_without_what_starts_them(monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "launch", lambda args, words: started.append((args, words)))
    words = ["--task", "T", "--nproc_per_node", "2", "--device=cpu", "--max_restarts=3", "--num_envs", "4", "agent.a=1"]
    main.main(["train", *words])
    ((args, words),) = started
    assert (args.nproc_per_node, args.max_restarts, args.nnodes) == (2, 3, 1)
    *given, stamp, last = words
    assert given == ["--task", "T", "--device=cpu", "--num_envs", "4", "agent.a=1"]
    assert stamp.startswith("--run_timestamp=2") and last == "--distributed"
