# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Curves and a page from records."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.configs import learners
from flow_rl.evaluation.score import interval as score_interval
from flow_rl.evaluation.score import measures_success, score

from .tables import Record, grouped, machine, machines_note, paired_table, points, results_table, summary_table

PALETTE = ("#2563eb", "#059669", "#d97706", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f", "#6b7280", "#92400e")
"""Colours; a learner has the same one in every picture."""


def color(name: str, algorithm: str, names: Iterable[str]) -> str:
    """Colour of an entry: its learner's, or the next free one where entries are variants of one learner."""
    order = sorted(learners())
    if name == algorithm and algorithm in order:
        return PALETTE[order.index(algorithm) % len(PALETTE)]
    others = sorted(set(names) - set(order))
    return PALETTE[(len(order) + others.index(name)) % len(PALETTE)]


def plot_curves(records: list[Record], path: Path) -> None:
    """Success or return on each task against control steps and against seconds, seeds as a band around their mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter, MaxNLocator

    by_task = grouped(records, "task")
    size = (4.2 * len(by_task) + 0.6, 6.4)
    figure, axes = plt.subplots(2, len(by_task), figsize=size, dpi=120, layout="constrained", squeeze=False)
    names = {record["learner"] for record in records}
    for column, ((task,), runs) in enumerate(by_task.items()):
        for (name, algorithm), seeds in grouped(runs, "learner", "algorithm").items():
            shade = color(name, algorithm, names)
            for row, axis in enumerate(("env_steps", "seconds")):
                _draw(axes[row, column], seeds, axis, shade, f"{name} ({len(seeds)})")
        base = runs[0].get("base")
        for row, label in enumerate(("control steps", "seconds of training")):
            if base:
                axes[row, column].axhline(score(base), color="#6b7280", linestyle=":", linewidth=1)
            limits = (-0.02, 1.02) if measures_success(runs[0]["final"]) else None
            axes[row, column].set(xlabel=label, ylim=limits, xlim=(0, None))
            axes[row, column].xaxis.set_major_locator(MaxNLocator(5))
            axes[row, column].xaxis.set_major_formatter(EngFormatter(sep=""))
            axes[row, column].grid(alpha=0.2)
        axes[0, column].set_title(task.removeprefix("FlowRL-").removesuffix("-Franka"))
        axes[0, column].legend(loc="best", frameon=False, fontsize=8)
    for row in range(2):
        known = measures_success(next(iter(by_task.values()))[0]["final"])
        axes[row, 0].set_ylabel("success, deterministic" if known else "return, deterministic")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _draw(axes: Any, runs: list[Record], axis: str, shade: str, label: str) -> None:
    """Mean over seeds, and the band from the lowest to the highest; of one seed, its Wilson intervals."""
    ends = [run["curve"][-1][axis] for run in runs]
    grid = np.linspace(0.0, min(ends), 101)
    lines = np.array([np.interp(grid, [point[axis] for point in run["curve"]], points(run)[1]) for run in runs])
    low, high = lines.min(axis=0), lines.max(axis=0)
    if len(runs) == 1:
        curve = runs[0]["curve"]
        where = [point[axis] for point in curve]
        low, high = (np.interp(grid, where, [score_interval(point)[side] for point in curve]) for side in (0, 1))
    axes.plot(grid, lines.mean(axis=0), color=shade, linewidth=1.6, label=label)
    axes.fill_between(grid, low, high, color=shade, alpha=0.15, linewidth=0)


def write_report(records: list[Record], folder: Path) -> Path:
    """Write curves and ``report.html``, which holds all it shows; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = []
    for (suite,), runs in grouped(records, "suite").items():
        picture = folder / f"{suite}.png"
        plot_curves(runs, picture)
        data = base64.b64encode(picture.read_bytes()).decode()
        sections.append(
            f"<h2>{html.escape(suite)}</h2><img src='data:image/png;base64,{data}' alt='success curves of {suite}'>"
            f"<p class=note>Mean over seeds (their number in brackets) from the lowest to the highest; of one seed, "
            f"Wilson's 95 % intervals. The dotted line is the pretrained policy.</p>"
            f"{_html_table(results_table(runs))}{_html_table(summary_table(runs))}{_html_table(paired_table(runs))}{_facts(runs)}"
        )
    path = folder / "report.html"
    path.write_text(_PAGE.format(sections="".join(sections)), encoding="utf-8")
    return path


def _html_table(markdown: str) -> str:
    """A Markdown table, with sentences before it, as HTML."""
    out, rows = [], []
    for line in markdown.splitlines():
        if line.startswith("|"):
            rows.append([_code(cell.strip()) for cell in line.strip("|").split("|")])
        elif line:
            out.append(f"<p>{_code(line)}</p>")
    if rows:
        head = "".join(f"<th>{cell}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[2:])
        out.append(f"<div class=wide><table><tr>{head}</tr>{body}</table></div>")
    return "".join(out)


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _facts(runs: list[Record]) -> str:
    """Where and when the records were made, and the commands of one run."""
    hosts = sorted({f"{machine(run)}{_name(run)}" for run in runs if "host" in run})
    commits = sorted(
        {f"{run['commit'][:10]}{' (changed)' if run['dirty'] else ''}" for run in runs if run.get("commit")}
    )
    dates = sorted({run["date"] for run in runs if "date" in run})
    commands = "".join(f"<pre>{html.escape(text)}</pre>" for text in runs[0].get("commands", {}).values())
    return (
        f"<p class=note>{html.escape(machines_note(runs) + '; '.join(hosts))}. {', '.join(dates)}. "
        f"Commits {', '.join(commits)}. The first run's commands:</p>{commands}"
    )


def _name(run: Record) -> str:
    """Name of the machine of a run, where it is known."""
    name = run["host"].get("name")
    return f" ({name})" if name else ""


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>flow_rl benchmarks</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #20242c; background: #f7f8fa; margin: 2rem auto; max-width: 1200px;
  padding: 0 1rem; }}
h2 {{ margin-top: 2.5rem; }} img {{ max-width: 100%; background: #fff; border-radius: 8px; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; background: #fff; margin: 1rem 0; }}
th, td {{ padding: .35rem .7rem; text-align: left; border-bottom: 1px solid #e5e7eb; vertical-align: top; }}
.note {{ color: #6b7280; }} pre {{ overflow-x: auto; background: #eef0f3; padding: .5rem .7rem; border-radius: 6px; }}
</style></head><body><h1>flow_rl benchmarks</h1>
<p>Success, or return, without exploration, on the same episodes at every evaluation. All figures come from records.</p>
{sections}</body></html>
"""
