# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Stands for flow_rl.sh in a job: trains the point mass by a command of training, in a folder below `RUNS`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from flow_rl.cli.preemption import as_overrides
from flow_rl.preemption.signals import leave_when_asked
from tests.preemption.training import before, make_runner


def main() -> None:
    """Train as the command says, not too fast to be met."""
    leave_when_asked()
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train"])
    parser.add_argument("--run_timestamp", required=True)
    parser.add_argument("--max_iterations", type=int)
    args, overrides = parser.parse_known_args(as_overrides(sys.argv[1:]))
    assert {"agent.resume=true", "agent.grace=90.0"} <= set(overrides)
    folder = Path(os.environ["RUNS"], args.run_timestamp)
    folder.mkdir(exist_ok=True)
    (folder / "pid").write_text(str(os.getpid()))
    runner = make_runner(folder, "score_flow", args.max_iterations)
    decision = before(runner, 0, lambda: None).alg.act
    runner.alg.act = lambda obs: (time.sleep(0.05), decision(obs))[1]
    runner.learn(args.max_iterations)


if __name__ == "__main__":
    main()
