# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure how training speeds up with ranks, at fixed work for each rank and at fixed work in all.

Writes a record and a picture. Other words are those of flow-rl train, such as agent.num_steps_per_env=30.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options
from flow_rl.utils.check import require, require_choice

RANKS = (1, 2, 4, 8)
"""Numbers of ranks that are measured where there are as many devices."""


def main(words: Sequence[str]) -> None:
    """Measure, and write what came out."""
    parser = options.ArgumentParser(prog="flow-rl benchmark scaling", description=__doc__)
    parser.add_argument("--task", default="gym:Pendulum-v1", help="task to train on")
    parser.add_argument("--agent", default="score_flow", help="learner, see flow-rl learners")
    parser.add_argument("--num_envs", type=int, default=64, help="environments, of each rank or in all")
    parser.add_argument("--ranks", type=int, nargs="+", help="numbers of ranks (default: of 1 2 4 8 what there is)")
    parser.add_argument("--iterations", type=int, default=10, help="iterations of each measurement")
    parser.add_argument("--device", help="where to compute: cpu or cuda (default: GPUs if there are any)")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark/scaling"), help="folder of what is made")
    parser.add_argument("--overwrite", action="store_true", help="replace the record that is there")
    args, overrides = parser.parse_known_args(words)

    with options.one_line_errors():
        for word in overrides:
            require("=" in word and not word.startswith("-"), "argument", word, "options and key=value", "see --help.")
        from flow_rl.benchmark.command import CommandFailed, heed_interrupts
        from flow_rl.benchmark.scaling import Scaling, measure, write
        from flow_rl.configs import learners

        require_choice("--agent", args.agent, learners())
        device = args.device or ("cuda" if options.has_gpu() else "cpu")
        ranks = args.ranks or [num for num in RANKS if num <= _devices(device)]
        scaling = Scaling(args.task, args.agent, args.num_envs, ranks, args.iterations, device, overrides)
        scaling.check()
        options.refuse_overwrite("--output", args.output / f"{scaling.name}.json", args.overwrite)
        heed_interrupts()
        stamp = f"{scaling.name}-{os.getpid()}"
        try:
            record = measure(scaling, (args.output / "runs" / stamp).resolve(), lambda text: print(f"[flow_rl] {text}"))
        except CommandFailed as error:
            raise SystemExit(f"[flow_rl] error: {error}") from None
        path = write(record, args.output, scaling.name)
    for row in record["rows"]:
        print(
            f"[flow_rl] fixed work {row['work']}: {row['ranks']} ranks x {row['num_envs_per_rank']} environments, "
            f"{row['steps_per_second']:,.0f} control steps/s, {row['seconds_per_update']:.3f} s per update"
        )
    print(f"[flow_rl] wrote {path} and {path.with_suffix('.png')}")


def _devices(device: str) -> int:
    """How many ranks can run side by side: one for each core, or for each GPU."""
    if device == "cpu":
        return os.cpu_count() or 1
    import torch

    return torch.cuda.device_count()
