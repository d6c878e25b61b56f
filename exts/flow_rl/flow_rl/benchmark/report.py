# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tables, curves and a page from records. Nothing here is measured, and nothing is chosen but by name."""

from __future__ import annotations

import base64
import html
import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.configs import learners
from flow_rl.utils.check import InputError

from .statistics import (
    Estimate,
    area_under_curve,
    bootstrap,
    interquartile_mean,
    mean_success,
    paired,
    probability_of_improvement,
    steps_to,
)

Record = dict[str, Any]

PALETTE = ("#2563eb", "#059669", "#d97706", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f", "#6b7280", "#92400e")
"""Colours; a learner has the same one in every picture."""

MARK = re.compile(
    r"(<!-- benchmark (?P<kind>\w+) (?P<suite>[\w-]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL
)
"""Places in Markdown files that are filled with tables: what kind, of which suite."""


def color(name: str, algorithm: str, names: Iterable[str]) -> str:
    """Colour of an entry: its learner's, or the next free one where entries are variants of one learner."""
    order = sorted(learners())
    if name == algorithm and algorithm in order:
        return PALETTE[order.index(algorithm) % len(PALETTE)]
    others = sorted(set(names) - set(order))
    return PALETTE[(len(order) + others.index(name)) % len(PALETTE)]


def grouped(records: Iterable[Record], *keys: str) -> dict[tuple, list[Record]]:
    """Records by the values of some keys, in the order in which they come."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return groups


"""
Tables.
"""


def results_table(records: list[Record]) -> str:
    """One row per task and learner: where it began, where it ended, what lies between."""
    rows = [
        "| Task | Learner | Settings | Seeds | Control steps | Pretrained | Final success | Its seeds | Lowest after "
        "the highest | Mean over steps |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (task, learner, preset), runs in grouped(records, "task", "learner", "preset").items():
        finals = [run["final"] for run in runs]
        final = mean_success([each["successes"] for each in finals], [each["episodes"] for each in finals])
        base = runs[0].get("base", {})
        start = interval(Estimate(base["success"], *base["ci95"])) if base else "not measured"
        areas = [np.mean(area(run)) for run in runs]
        cells = [
            f"`{task}`",
            learner,
            preset,
            len(runs),
            " to ".join(f"{steps:,}" for steps in sorted({each["env_steps"] for each in finals})),
            start,
            interval(final),
            ", ".join(f"{100 * each['success']:.1f}" for each in finals),
            f"{100 * max(drop(run) for run in runs):.1f} points",
            f"{100 * np.mean(areas):.1f}%",
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def summary_table(records: list[Record], thresholds: tuple[float, ...] = (0.8,)) -> str:
    """One row per learner over all tasks that every learner has: interquartile mean, improvement, steps needed."""
    by_learner = grouped(records, "learner")
    tasks = sorted(set.intersection(*({run["task"] for run in runs} for runs in by_learner.values())))
    if not tasks:
        return "No task has records of all learners.\n"
    heads = [f"Control steps to {100 * threshold:.0f}%, runs that get there" for threshold in thresholds]
    rows = [
        f"Over {len(tasks)} task{'s' if len(tasks) > 1 else ''}: {', '.join(f'`{task}`' for task in tasks)}.\n",
        "| Learner | Interquartile mean | Chance to be better than the others | " + " | ".join(heads) + " |",
        "| --- | --- | --- |" + " --- |" * len(heads),
    ]
    scores = {name: [finals(runs, task) for task in tasks] for (name,), runs in by_learner.items()}
    for (name,), runs in by_learner.items():
        others = [
            f"{other}: {plain(bootstrap(probability_of_improvement, scores[name], scores[other]))}"
            for other in scores
            if other != name
        ]
        needed = []
        for threshold in thresholds:
            chosen = [run for run in runs if run["task"] in tasks]
            steps = [steps_to(*points(run), threshold) for run in chosen]
            reached = [step for step in steps if math.isfinite(step)]
            median = f"{np.median(reached):,.0f} (median), " if reached else ""
            needed.append(f"{median}{len(reached)} of {len(steps)}")
        mean = interval(bootstrap(interquartile_mean, scores[name]))
        rows.append(f"| {name} | {mean} | {'; '.join(others) or 'alone'} | " + " | ".join(needed) + " |")
    return "\n".join(rows) + "\n"


def paired_table(records: list[Record]) -> str:
    """One row per task and pair of learners with the same seeds, evaluated on the same starts."""
    rows = [
        "| Task | First | Second | Only the first solves | Only the second | p, McNemar |",
        "| --- |" + " --- |" * 5,
    ]
    for (task,), runs in grouped(records, "task").items():
        known = {
            name: {run["seed"]: run["final"]["outcomes"] for run in each if "outcomes" in run["final"]}
            for (name,), each in grouped(runs, "learner").items()
        }
        for one, other in itertools.combinations(known, 2):
            seeds = sorted(
                seed for seed in set(known[one]) & set(known[other]) if len(known[one][seed]) == len(known[other][seed])
            )
            if seeds:
                counts = paired(*([known[name][seed] for seed in seeds] for name in (one, other)))
                rows.append(f"| `{task}` | {one} | {other} | {counts.first} | {counts.second} | {counts.p_value:.2g} |")
    return "\n".join(rows) + "\n" if len(rows) > 2 else "No two learners were evaluated on the same starts.\n"


TABLES = {"results": results_table, "summary": summary_table, "paired": paired_table}
"""Tables by the word in a file's mark."""


def finals(runs: list[Record], task: str) -> np.ndarray:
    """Final success of each seed on a task."""
    return np.array([run["final"]["success"] for run in runs if run["task"] == task])


def points(run: Record) -> tuple[list[float], list[float]]:
    """Control steps and success of a run's evaluations."""
    return [point["env_steps"] for point in run["curve"]], [point["success"] for point in run["curve"]]


def area(run: Record) -> float:
    """Mean success of a run over its control steps."""
    steps, success = points(run)
    return area_under_curve(steps, success, steps[-1]) if steps[-1] > 0 else success[0]


def drop(run: Record) -> float:
    """How far success lies, at its lowest after its highest evaluation, below that."""
    _, success = points(run)
    highest = int(np.argmax(success))
    return success[highest] - min(success[highest:])


def interval(estimate: Estimate) -> str:
    """A share with its interval."""
    return f"{100 * estimate.value:.1f}% [{100 * estimate.low:.1f}%, {100 * estimate.high:.1f}%]"


def plain(estimate: Estimate) -> str:
    """A probability with its interval."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def filled(text: str, records: list[Record]) -> str:
    """A Markdown text with all its marked tables made anew.

    Raises:
        InputError: If a mark names no table, or a suite without records.
    """

    def table(match: re.Match) -> str:
        chosen = [record for record in records if record["suite"] == match["suite"]]
        if match["kind"] not in TABLES or not chosen:
            raise InputError(
                f"the mark '{match[1].strip()}' cannot be filled. Valid: {', '.join(TABLES)} and a suite with records, "
                f"{', '.join(sorted({record['suite'] for record in records})) or 'of which there are none'}."
            )
        return match[1] + "\n" + TABLES[match["kind"]](chosen) + "\n" + match["end"]

    return MARK.sub(table, text)


def fill(path: Path, records: list[Record]) -> None:
    """Renew the marked tables of a Markdown file."""
    text = path.read_text()
    if (new := filled(text, records)) != text:
        path.write_text(new)


"""
Pictures and the page.
"""


def plot_curves(records: list[Record], path: Path) -> None:
    """Success of each task's learners against control steps and against seconds, seeds as a band around their mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

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
                axes[row, column].axhline(base["success"], color="#6b7280", linestyle=":", linewidth=1)
            axes[row, column].set(xlabel=label, ylim=(-0.02, 1.02), xlim=(0, None))
            axes[row, column].grid(alpha=0.2)
        axes[0, column].set_title(task.removeprefix("FlowRL-").removesuffix("-Franka"))
        axes[0, column].legend(loc="best", frameon=False, fontsize=8)
    for row in range(2):
        axes[row, 0].set_ylabel("success, deterministic")
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
        low, high = (np.interp(grid, where, [point["ci95"][side] for point in curve]) for side in (0, 1))
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
    hosts = sorted(
        {
            f"{run['host']['cpu']}, {run['host']['cores']} cores, {run['host']['gpu'] or 'no GPU'}"
            for run in runs
            if "host" in run
        }
    )
    commits = sorted(
        {f"{run['commit'][:10]}{' (changed)' if run['dirty'] else ''}" for run in runs if run.get("commit")}
    )
    dates = sorted({run["date"] for run in runs if "date" in run})
    commands = "".join(f"<pre>{html.escape(text)}</pre>" for text in runs[0].get("commands", {}).values())
    return (
        f"<p class=note>{html.escape('; '.join(hosts))}. {', '.join(dates)}. Commits {', '.join(commits)}. "
        f"The first run's commands:</p>{commands}"
    )


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
<p>Success without exploration, on the same episodes at every evaluation. Every figure comes from the records.</p>
{sections}</body></html>
"""
