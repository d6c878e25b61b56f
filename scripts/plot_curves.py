# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Plot the success of training runs against control steps and wall time; several runs of a label share a colour.

Example: ``scripts/plot_curves.py --run "RLDT=logs/rsl_rl/rldt/<run>" --run "ScoRe-Flow=logs/rsl_rl/score_flow/<run>"``
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import yaml

from flow_rl.evaluation.report import SUCCESS_TAG, read_scalar

TIMES = ("Perf/collection_time", "Perf/learning_time")
"""What the runner logs of an iteration's duration [s]."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=FOLDER", help="a run's folder; repeat")
    parser.add_argument("--output", type=Path, default=Path("outputs/curves.png"), help="picture to write")
    parser.add_argument("--smooth", type=int, default=5, help="iterations averaged in each point")
    args = parser.parse_args()
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    colours: dict[str, str] = {}
    for run in args.run:
        label, _, folder = run.partition("=")
        if not (folder and (Path(folder) / "params" / "agent.yaml").is_file()):
            sys.exit(f"[flow_rl] error: --run {run!r} is not LABEL=FOLDER with the folder of a training run.")
        steps, seconds, success = curve(Path(folder), args.smooth)
        seen = label in colours
        colour = colours.setdefault(label, f"C{len(colours)}")
        for axes, x in zip(panels, (steps / 1e3, seconds / 60), strict=True):
            axes.plot(x, success, color=colour, label=None if seen else label, linewidth=1.4, alpha=0.85)
    for axes, name in zip(panels, ("thousand control steps", "minutes of training"), strict=True):
        axes.set(xlabel=name, ylim=(0.0, 1.02))
        axes.grid(alpha=0.2)
    panels[0].set_ylabel("success while exploring")
    panels[0].legend(frameon=False, loc="lower right")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=90)
    print(f"[flow_rl] wrote {args.output}")


def curve(folder: Path, smooth: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Control steps, seconds and mean success up to each iteration of a run."""
    agent = yaml.safe_load((folder / "params" / "agent.yaml").read_text())
    num_envs = int(re.search(r"\bnum_envs: (\d+)", (folder / "params" / "env.yaml").read_text())[1])
    success = torch.tensor(read_scalar(folder, SUCCESS_TAG)[1])
    seconds = sum(torch.tensor(read_scalar(folder, tag)[1]) for tag in TIMES).cumsum(0)
    count = torch.arange(1, len(success) + 1)
    steps = count * agent["num_steps_per_env"] * num_envs * agent["actor"]["horizon"]
    total = torch.cat([torch.zeros(1), success.cumsum(0)])
    first = (count - smooth).clamp(min=0)
    return steps, seconds[-len(success) :], (total[count] - total[first]) / (count - first)


if __name__ == "__main__":
    main()
