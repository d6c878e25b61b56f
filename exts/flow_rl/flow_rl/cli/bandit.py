# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""See RLDT at work in the plane: a bandit with two best actions, transported with and without repulsion.

Writes a picture (particles, field and density, before and after) and the numbers beside it. Needs no simulator.
With --study all kernels, numbers of particles and temperatures are run over many seeds instead, into records that
flow-rl benchmark report reads; what has a record is not repeated.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.cli import options
from flow_rl.cli.benchmark import RECORDS

if TYPE_CHECKING:
    import torch

VARIANTS = {
    "with repulsion (T = 0.1)": {"temperature": 0.1},
    "without repulsion (T = 0)": {"temperature": 0.0},
    "plain critic gradient (delta)": {"kernel": "delta"},
}
"""Settings of RLDT by the title of their picture."""


def main(argv: Sequence[str] | None = None) -> None:
    """Let RLDT learn in each variant, then draw and write what became of the policy."""
    parser = options.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/bandit"), help="folder of picture and numbers")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--iterations", type=int, default=60, help="iterations of RLDT")
    parser.add_argument("--study", action="store_true", help="all variants over many seeds, into records")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds of the study")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder for records of the study")
    args = parser.parse_args(argv)

    import torch
    from tqdm import tqdm

    from flow_rl.testing import bandit

    torch.set_num_threads(1)
    if args.study:
        from flow_rl.benchmark.bandit import study

        with options.one_line_errors():
            study(args.records, args.seeds, args.iterations, say=lambda text: print(f"[flow_rl] {text}", flush=True))
        return
    args.output.mkdir(parents=True, exist_ok=True)
    numbers, panels = {}, {}
    for name, settings in tqdm(VARIANTS.items(), desc="variants"):
        runner = bandit.make_runner(bandit.configuration(args.iterations, **settings), args.seed)
        before = copy.deepcopy(runner.alg.actor)
        with contextlib.redirect_stdout(io.StringIO()):
            runner.learn(args.iterations)
        # What the critic will have learned shows where the first particles had to go.
        numbers.setdefault("before", bandit.measure(before))
        panels.setdefault("before", particles(runner.alg, before))
        numbers[name], panels[name] = bandit.measure(runner.alg.actor), particles(runner.alg, runner.alg.actor)
    plot(panels, numbers, args.output / "bandit.png")
    (args.output / "bandit.json").write_text(json.dumps({"seed": args.seed, **numbers}, indent=2) + "\n")
    for name, values in numbers.items():
        print(f"[flow_rl] {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in values.items()))
    print(f"[flow_rl] open {args.output / 'bandit.png'}")


def particles(alg, policy, num: int = 4096, num_arrows: int = 48) -> dict[str, torch.Tensor]:
    """Many actions for the density, and a few particles with the field that RLDT would move them along."""
    import torch

    from flow_rl.kernels import svgd_field

    latent = torch.zeros(num, 1)
    with torch.no_grad():
        ends = policy.sample(latent)
    few = ends[:num_arrows].unsqueeze(0)
    gradient = alg.action_gradient(torch.zeros(1, 1), few).mean(dim=0)
    return {"ends": ends, "particles": few[0], "field": svgd_field(few, few, gradient, **alg.kernel_settings)[0]}


def plot(panels: dict, numbers: dict, path: Path) -> None:
    """One panel each: density in grey, contours of the reward, particles, and the field's direction."""
    import matplotlib
    import torch

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from flow_rl.testing import bandit

    figure, rows = plt.subplots(1, len(panels), figsize=(4 * len(panels), 4.8), sharey=True)
    axis = torch.linspace(-1.0, 1.0, 81)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    for axes, (name, panel) in zip(rows, panels.items(), strict=True):
        axes.hist2d(*panel["ends"].T.numpy(), bins=48, range=[[-1, 1], [-1, 1]], cmap="Greys")
        axes.contour(axis, axis, bandit.reward(grid), levels=[0.25, 0.5, 0.75, 0.95], cmap="viridis", linewidths=0.8)
        arrows = panel["field"] / panel["field"].norm(dim=-1).amax().clamp(min=1e-9)
        axes.quiver(*panel["particles"].T, *arrows.T, color="C3", scale=8, width=0.006)
        axes.plot(*panel["particles"].T, "o", color="C3", markersize=3)
        values = numbers[name]
        axes.set(
            title=f"{name}\nreward {values['reward']:.2f}, left mode {values['left']:.0%}",
            xlabel="action 1",
            xticks=(-1, 0, 1),
        )
        axes.set_aspect("equal")
    rows[0].set_ylabel("action 2")
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(figure)
