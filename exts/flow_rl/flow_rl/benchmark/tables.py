# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tables from records, and the places in Markdown files that hold them. Nothing is chosen but by name."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.evaluation.score import measures_success, score, shown
from flow_rl.evaluation.statistics import wilson_interval
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
from .suite import read_suite

Record = dict[str, Any]

MARK = re.compile(
    r"(<!-- benchmark (?P<kind>\w+) (?P<suite>[\w-]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL
)
"""Places in Markdown files that are filled with tables: what kind, of which suite."""


def grouped(records: Iterable[Record], *keys: str) -> dict[tuple, list[Record]]:
    """Records by the values of some keys, in the order in which they come."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return groups


def results_table(records: list[Record]) -> str:
    """One row per task and learner: where it began, where it ended, what lies between."""
    measured = "success" if measures_success(records[0]["final"]) else "return"
    rows = [
        f"| Task | Learner | Settings | Seeds | Control steps | Pretrained | Final {measured} | Its seeds | Lowest "
        "after the highest | Mean over steps |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (task, learner, preset), runs in grouped(records, "task", "learner", "preset").items():
        finals = [run["final"] for run in runs]
        base = runs[0].get("base", {})
        start = of_one(base) if base else "not measured"
        areas = [area(run) for run in runs]
        fall = max(drop(run) for run in runs)
        cells = [
            f"`{task}`",
            learner,
            preset,
            len(runs),
            " to ".join(f"{steps:,}" for steps in sorted({each["env_steps"] for each in finals})),
            start,
            of_seeds(finals),
            ", ".join(shown(score(each), each).removesuffix("%") for each in finals),
            f"{100 * fall:.1f} points" if measures_success(finals[0]) else f"{fall:,.1f}",
            shown(float(np.mean(areas)), finals[0]),
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def machine(record: Record) -> str:
    """What a run was computed on: equal texts are machines whose seconds can be compared."""
    host, ranks = record.get("host") or {}, record.get("ranks", 1)
    many = f", {ranks} ranks" if ranks > 1 else ""
    if str(record.get("device", "cpu")).startswith("cuda"):
        gpus = sorted(set(host.get("gpu") or ["unknown GPU"]))
        return f"{' and '.join(gpus)}{many}"
    return f"{host.get('cpu', 'unknown processor')}, {host.get('cores', 'unknown')} cores, no GPU{many}"


def machines_note(records: list[Record]) -> str:
    """A sentence that says which runs were computed where; none if all were on one kind of machine."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(machine(record), []).append(record)
    if len(found) < 2:
        return ""
    told = "; ".join(
        f"{name} ({len(runs)} runs of {', '.join(sorted({run['learner'] for run in runs}))})"
        for name, runs in sorted(found.items())
    )
    return f"\nOn different machines, whose seconds cannot be compared: {told}.\n"


def of_one(result: dict[str, Any]) -> str:
    """Success or return of one policy with its interval."""
    if measures_success(result):
        return interval(Estimate(result["success"], *result["ci95"]))
    ends = result.get("return_ci95")
    return f"{result['mean_return']:,.1f}" + (f" [{ends[0]:,.1f}, {ends[1]:,.1f}]" if ends else "")


def of_seeds(results: list[dict[str, Any]]) -> str:
    """Success or return over seeds with its interval."""
    if measures_success(results[0]):
        counts = ([each[name] for each in results] for name in ("successes", "episodes"))
        return interval(mean_success(*counts))
    estimate = mean([each["mean_return"] for each in results])
    ends = "one seed" if len(results) < 2 else f"{estimate.low:,.1f}, {estimate.high:,.1f}"
    return f"{estimate.value:,.1f} [{ends}]"


def scale(records: list[Record], task: str) -> tuple[float, float]:
    """What counts as 0 and as 1 of a task: for returns, those of the pretrained policy and of the best learner."""
    runs = [run for run in records if run["task"] == task]
    if measures_success(runs[0]["final"]):
        return 0.0, 1.0
    best = max(float(np.mean(finals(of_learner, task))) for of_learner in grouped(runs, "learner").values())
    return score(runs[0]["base"]), max(best, score(runs[0]["base"]) + 1e-9)


def summary_table(records: list[Record], thresholds: tuple[float, ...] = (0.8,)) -> str:
    """One row per learner over all tasks that every learner has: interquartile mean, improvement, steps needed.

    Returns count as shares of the way from the pretrained policy to the best learner's mean.
    """
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
    ends = {task: scale(records, task) for task in tasks}
    returns = any(pair != (0.0, 1.0) for pair in ends.values())
    if returns:
        rows[0] = (
            rows[0].rstrip(".\n") + ". Returns as shares of the way from the pretrained policy to the best learner's.\n"
        )
    scores = {
        name: [(finals(runs, task) - ends[task][0]) / np.ptp(ends[task]) for task in tasks]
        for (name,), runs in by_learner.items()
    }
    seeds = {name: min(len(each) for each in of_tasks) for name, of_tasks in scores.items()}
    for (name,), runs in by_learner.items():
        others = []
        for other in scores.keys() - {name}:
            chance = bootstrap(probability_of_improvement, scores[name], scores[other])
            others.append(f"{other}: {plain(chance, min(seeds[name], seeds[other]))}")
        needed = []
        for threshold in thresholds:
            chosen = [run for run in runs if run["task"] in tasks]
            levels = [ends[run["task"]][0] + threshold * np.ptp(ends[run["task"]]) for run in chosen]
            steps = [steps_to(*points(run), level) for run, level in zip(chosen, levels, strict=True)]
            reached = [step for step in steps if math.isfinite(step)]
            median = f"{np.median(reached):,.0f} (median), " if reached else ""
            needed.append(f"{median}{len(reached)} of {len(steps)}")
        middle = interval(bootstrap(interquartile_mean, scores[name]), seeds[name])
        rows.append(f"| {name} | {middle} | {'; '.join(sorted(others)) or 'alone'} | " + " | ".join(needed) + " |")
    return "\n".join(rows) + "\n"


def paired_table(records: list[Record]) -> str:
    """One row per task and pair of learners with the same seeds; the first episodes of environments begin alike."""
    rows = [
        "| Task | First | Second | Only the first solves | Only the second | p, McNemar |",
        "| --- |" + " --- |" * 5,
    ]
    for (task,), runs in grouped(records, "task").items():
        known = {
            name: {run["seed"]: run["final"]["outcomes"] for run in each if run["final"].get("outcomes")}
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


def modes_table(records: list[Record]) -> str:
    """One row per variant on the bandit: reward, whether both best actions are kept, spread, time of the field."""
    rows = [
        "| Variant | Seeds | Reward | Runs that keep both modes (a fifth of the actions) | Share of the smaller | "
        "Spread within a mode | Field, 256 x P x 80 [ms] |",
        "| --- |" + " --- |" * 6,
    ]
    for (name,), runs in grouped(records, "learner").items():
        finals = [run["final"] for run in runs]
        smaller = [min(each["left"], 1.0 - each["left"]) for each in finals]
        kept = sum(share >= 0.2 for share in smaller)
        cells = [
            name,
            len(runs),
            plain(mean([each["mean_return"] for each in finals]), len(runs)),
            f"{kept} of {len(runs)}, {interval(Estimate(kept / len(runs), *wilson_interval(kept, len(runs))))}",
            interval(mean(smaller), len(runs)),
            plain(mean([each["spread"] for each in finals]), len(runs)),
            f"{np.median([run['field_ms'] for run in runs]):.2f}",
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def claims_table(records: list[Record]) -> str:
    """One row per entry of a suite whose entries claim something: what, and what success did in both halves of a run.

    Each seed's highest evaluation in the first half, and how far its evaluations of the second lie apart.
    """
    rows = [
        "| Entry | Claim | Seeds | Highest in the first half [%] | Highest minus lowest in the second half [points] | "
        "Final success |",
        "| --- |" + " --- |" * 5,
    ]
    entries = read_suite(records[0]["suite"]).learners
    for (task, name), runs in grouped(records, "task", "learner").items():
        first, second = [], []
        for run in runs:
            steps, success = points(run)
            first.append(max(share for step, share in zip(steps, success, strict=True) if 2 * step <= steps[-1]))
            later = [share for step, share in zip(steps, success, strict=True) if 2 * step > steps[-1]]
            second.append(max(later) - min(later))
        final = [run["final"] for run in runs]
        cells = [
            f"`{name}`" if len({run["task"] for run in records}) == 1 else f"`{name}`, {task}",
            entries[name].claim if name in entries else "",
            len(runs),
            *(", ".join(f"{100 * share:.1f}" for share in shares) for shares in (first, second)),
            interval(mean_success([each["successes"] for each in final], [each["episodes"] for each in final])),
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


TABLES = {
    "results": results_table,
    "summary": summary_table,
    "paired": paired_table,
    "modes": modes_table,
    "claims": claims_table,
}
"""Tables by the word in a file's mark."""


def finals(runs: list[Record], task: str) -> np.ndarray:
    """Final success or return of each seed on a task."""
    return np.array([score(run["final"]) for run in runs if run["task"] == task])


def points(run: Record) -> tuple[list[float], list[float]]:
    """Control steps and success, or return, of a run's evaluations."""
    return [point["env_steps"] for point in run["curve"]], [score(point) for point in run["curve"]]


def area(run: Record) -> float:
    """Mean success or return of a run over its control steps."""
    steps, success = points(run)
    return area_under_curve(steps, success, steps[-1]) if steps[-1] > 0 else success[0]


def drop(run: Record) -> float:
    """How far success or return lies, at its lowest after its highest evaluation, below that."""
    _, success = points(run)
    highest = int(np.argmax(success))
    return success[highest] - min(success[highest:])


def interval(estimate: Estimate, seeds: float = math.inf) -> str:
    """A share with its interval; one seed has none."""
    ends = "one seed" if seeds < 2 else f"{100 * estimate.low:.1f}%, {100 * estimate.high:.1f}%"
    return f"{100 * estimate.value:.1f}% [{ends}]"


def mean(values: list[float]) -> Estimate:
    """Mean over seeds with its bootstrap interval."""
    return bootstrap(lambda scores: float(np.mean(scores[0])), [np.array(values)])


def plain(estimate: Estimate, seeds: float = math.inf) -> str:
    """A number with its interval; one seed has none."""
    ends = "one seed" if seeds < 2 else f"{estimate.low:.2f}, {estimate.high:.2f}"
    return f"{estimate.value:.2f} [{ends}]"


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
        return match[1] + "\n" + TABLES[match["kind"]](chosen) + machines_note(chosen) + "\n" + match["end"]

    return MARK.sub(table, text)


def fill(path: Path, records: list[Record]) -> None:
    """Renew the marked tables of a Markdown file."""
    text = path.read_text()
    if (new := filled(text, records)) != text:
        path.write_text(new)
