# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A page about one training: curve, films, diagnostics beside what is healthy, settings."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path

import yaml

from .diagnostics import DIAGNOSTICS
from .report import STYLE, embed
from .score import interval, measures_success, score, shown, told
from .training import Training

_LONGEST_FILM = 8 * 2**20
"""Largest film that the page holds [bytes]; of others it gives the names."""


def write_training_report(training: Training, path: Path) -> Path:
    """Write one page that holds all it shows, and return its path."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = [
            (title, embed(picture))
            for title, picture in (
                ("Learning curve", _plot_curve(training, Path(folder) / "curve.png")),
                ("Diagnostics", _plot_diagnostics(training, Path(folder) / "diagnostics.png")),
            )
            if picture is not None
        ]
    sections = [f'<h2>{title}</h2><img src="{data}" alt="{title.lower()}">' for title, data in pictures]
    sections += [_diagnostics(training), _films(training), _facts(training), _next_steps(training)]
    settings = html.escape(yaml.safe_dump(training.agent, sort_keys=False))
    page = _PAGE.format(
        style=STYLE,
        title=html.escape(training.title),
        lead=html.escape(summary(training)),
        sections="".join(sections),
        settings=settings,
    )
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    return partial.replace(path)


def summary(training: Training) -> str:
    """One or two sentences about what a training has reached."""
    if not training.evaluations:
        values = training.exploring[1]
        seen = f" While exploring, {values[-1]:.1%} of the last episodes succeeded." if values else ""
        return f"This training was not evaluated; agent.eval_interval=5 measures the policy without exploration.{seen}"
    first, last = training.evaluations[0], training.evaluations[-1]
    best = max(training.evaluations, key=score)
    name = "Success" if measures_success(last) else "The mean return"
    start, end = (told(entry).removeprefix("return ") for entry in (first, last))
    text = f"{name} went from {start} to {end} episodes after {last['env_steps']:,} control steps"
    if score(best) > score(last):
        text += f"; the best evaluation, after {best['env_steps']:,}, was {shown(score(best), best)}"
    return text + "."


def _plot_curve(training: Training, path: Path) -> Path | None:
    """Evaluations with their intervals and, in grey, success while exploring, against control steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter

    evaluations, steps = training.evaluations, training.steps_per_iteration
    if not evaluations and not (steps and training.exploring[0]):
        return None
    figure, axes = plt.subplots(figsize=(8, 4.2), dpi=120, layout="constrained")
    known = not evaluations or measures_success(evaluations[-1])
    if known and steps:
        where = [(iteration + 1) * steps for iteration in training.exploring[0]]
        axes.plot(where, training.exploring[1], color="#9ca3af", linewidth=1, label="while exploring")
    if evaluations:
        where = [entry["env_steps"] for entry in evaluations]
        low, high = zip(*(interval(entry) for entry in evaluations), strict=True)
        axes.plot(where, [score(entry) for entry in evaluations], "o-", color="#059669", label="without exploration")
        axes.fill_between(where, low, high, color="#059669", alpha=0.15, linewidth=0, label="95 % interval")
    axes.set(xlabel="control steps", ylabel="success rate" if known else "mean return", xlim=(0, None))
    if known:
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend(loc="best", frameon=False)
    axes.grid(alpha=0.2)
    figure.savefig(path)
    plt.close(figure)
    return path


def _plot_diagnostics(training: Training, path: Path) -> Path | None:
    """One small picture for each scalar of :data:`DIAGNOSTICS` that was logged, against iterations."""
    import matplotlib.pyplot as plt

    names = _logged(training)
    if not names:
        return None
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    size = (2.6 * columns, 1.7 * rows + 0.3)
    figure, axes = plt.subplots(rows, columns, figsize=size, dpi=120, layout="constrained", squeeze=False)
    for place, name in zip(axes.flat, names, strict=False):
        place.plot(*training.scalars[f"Loss/{name}"], color="#2563eb", linewidth=1.2)
        place.set_title(name, fontsize=8)
        place.tick_params(labelsize=7)
        place.grid(alpha=0.2)
    for place in list(axes.flat)[len(names) :]:
        place.axis("off")
    figure.supxlabel("iterations", fontsize=8)
    figure.savefig(path)
    plt.close(figure)
    return path


def _logged(training: Training) -> list[str]:
    return [name for each in DIAGNOSTICS for name in each.scalars if f"Loss/{name}" in training.scalars]


def _diagnostics(training: Training) -> str:
    logged, rows = set(_logged(training)), []
    for each in DIAGNOSTICS:
        last = [
            f"<code>{name}</code> {training.scalars[f'Loss/{name}'][1][-1]:.3g}"
            for name in each.scalars
            if name in logged
        ]
        if last:
            rows.append(
                f"<tr><td>{'<br>'.join(last)}</td>"
                + "".join(f"<td>{_code(html.escape(text))}</td>" for text in (each.meaning, each.healthy, each.remedy))
                + "</tr>"
            )
    head = "<tr><th>last value</th><th>what it is</th><th>healthy</th><th>if not</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _code(text: str) -> str:
    parts = text.split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _films(training: Training) -> str:
    films = sorted(training.folder.rglob("*.mp4"))
    if not films:
        return ""
    shown_films = "".join(
        f'<section class=card><p>{html.escape(film.stem)}</p><video src="{embed(film)}" muted playsinline controls>'
        "</video></section>"
        if film.stat().st_size <= _LONGEST_FILM
        else f"<section class=card><p>{html.escape(str(film.relative_to(training.folder)))}</p></section>"
        for film in films[-4:]
    )
    return f"<h2>Films</h2><div class=pair>{shown_films}</div>"


def _facts(training: Training) -> str:
    described, steps = training.described, training.steps_per_iteration
    facts = {
        "environments": training.num_envs,
        "control steps an iteration": f"{steps:,}" if steps else None,
        "checkpoints": f"{training.checkpoints[-1].name}, {training.best.name}",
        "began with": Path(str(training.agent.get("load_checkpoint", ""))).name,
        "device": training.agent.get("device"),
        "flow_rl": f"{described['version']}, revision {described['revision']}",
    }
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
        if value
    )
    return f"<h2>Facts</h2><table>{rows}</table>"


def _next_steps(training: Training) -> str:
    commands = "\n".join(next_commands(training, training.best))
    return f"<h2>Go on from here</h2><pre>{html.escape(commands)}</pre>"


def next_commands(training: Training, checkpoint: str | Path) -> list[str]:
    """Commands that measure a training's policy in ``checkpoint``, watch it, and write it for a robot."""
    task = training.described["task"]
    return [
        f"flow-rl evaluate --task {task} --checkpoint {checkpoint} --num_episodes 512",
        f"flow-rl watch --task {task} --checkpoint {checkpoint}",
        f"flow-rl export --task {task} --checkpoint {checkpoint} --output outputs/package",
    ]


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>flow_rl: {title}</title><style>
{style}th {{ text-align: left; padding: .3rem .5rem; }}</style></head><body>
<h1>{title}</h1>
<p class=lead>{lead}</p>
{sections}
<h2>Settings</h2><details><summary>All settings of the learner</summary><pre>{settings}</pre></details>
</body></html>
"""
