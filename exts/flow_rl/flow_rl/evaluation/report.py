# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a person sees after a run: the learning curve and a self-contained HTML report."""

from __future__ import annotations

import base64
import html
from pathlib import Path

SUCCESS_TAG = "Metrics/success_rate"
"""Scalar under which every task logs the share of successful episodes."""


Curve = tuple[list[int], list[float]]
"""Iterations and values of a scalar, sorted by iteration."""


def read_scalars(log_dir: str | Path) -> dict[str, Curve]:
    """All scalars that TensorBoard was given, by tag, later runs of the same iteration winning.

    Args:
        log_dir: Folder that holds the event files; searched recursively, so that resumed runs join up.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    points: dict[str, dict[int, float]] = {}
    for events in sorted(Path(log_dir).rglob("events.out.tfevents.*"), key=lambda p: p.stat().st_mtime):
        accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
        for tag in accumulator.Tags()["scalars"]:
            points.setdefault(tag, {}).update({event.step: event.value for event in accumulator.Scalars(tag)})
    return {tag: (sorted(values), [values[step] for step in sorted(values)]) for tag, values in points.items()}


def read_scalar(log_dir: str | Path, tag: str) -> Curve:
    """One of :func:`read_scalars`; empty when the tag was never written."""
    return read_scalars(log_dir).get(tag, ([], []))


def plot_learning_curve(summary: dict, curve: Curve, path: str | Path) -> None:
    """Success during training against environment steps, with both evaluations and their intervals, as a PNG.

    Args:
        summary: The run's summary, see :func:`write_report`; `env_steps_per_iteration` scales the axis.
        curve: Iterations and success rates while exploring, from :func:`read_scalar`.
        path: Where the picture goes.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = [(iteration + 1) * summary["env_steps_per_iteration"] for iteration in curve[0]]
    end = max(steps, default=1)
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes.plot(steps, curve[1], color="#6b7280", linewidth=1.2, label="while training (with exploration noise)")
    for key, label, color, x in (
        ("pretrained", "pretrained", "#d97706", 0.0),
        ("finetuned", "fine-tuned", "#059669", end),
    ):
        result = summary[key]
        low, high = result["ci95"]
        axes.axhline(result["success"], color=color, linestyle=":", linewidth=1)
        axes.errorbar(
            [x],
            [result["success"]],
            yerr=[[result["success"] - low], [high - result["success"]]],
            fmt="o",
            color=color,
            capsize=4,
            label=f"{label}: {result['success']:.1%} of {result['episodes']} episodes",
        )
    axes.set(xlabel="control steps", ylabel="success rate", ylim=(-0.02, 1.02))
    axes.set_title(f"{summary['task']}: {summary['learner']}, seed {summary['seed']}")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.2)
    figure.savefig(path)
    plt.close(figure)


def write_report(summary: dict, folder: str | Path) -> Path:
    """Write `report.html` beside the run's pictures and films, all of them embedded.

    Args:
        summary: Contents of `summary.json`: `task`, `learner`, `seed`, `pretrained` and `finetuned` evaluations
            (`success`, `ci95`, `episodes`, `mean_episode_length`), `checkpoints`, `phases` (name to `seconds` and
            `command`), `env_steps`, `versions`, `hardware`, `smoke`.
        folder: The run's folder, with `learning_curve.png`, `before.mp4` and `after.mp4`.

    Returns:
        Path of the page.
    """
    folder = Path(folder)
    page = _PAGE.format(
        style=STYLE,
        title=html.escape(f"{summary['task']}: {summary['learner']}"),
        note=_SMOKE_NOTE if summary["smoke"] else "",
        lead=_lead(summary),
        before=_card("Before", "pretrained on demonstrations", summary["pretrained"], embed(folder / "before.mp4")),
        after=_card("After", f"fine-tuned by {summary['learner']}", summary["finetuned"], embed(folder / "after.mp4")),
        curve=embed(folder / "learning_curve.png"),
        phases="".join(
            f"<tr><td>{html.escape(name)}</td><td class=n>{phase['seconds']:.0f} s</td>"
            f"<td><code>{html.escape(phase['command'])}</code></td></tr>"
            for name, phase in summary["phases"].items()
        ),
        next_steps=html.escape(_next_steps(summary)),
        facts="".join(
            f"<tr><td>{html.escape(key)}</td><td>{html.escape(str(value))}</td></tr>"
            for key, value in {
                "seed": summary["seed"],
                "control steps of fine-tuning": f"{summary['env_steps']:,}",
                "wall time": f"{sum(p['seconds'] for p in summary['phases'].values()) / 60:.1f} min",
                "date": summary["date"],
                "hardware": summary["hardware"],
                "evaluation": f"{summary['finetuned']['sampling']}, seed {summary['finetuned']['seed']}",
                **summary["versions"],
            }.items()
        ),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _lead(summary: dict) -> str:
    before, after = summary["pretrained"]["success"], summary["finetuned"]["success"]
    verb = "rose" if after > before else "fell" if after < before else "stayed"
    return f"Success {verb} from <b>{before:.1%}</b> to <b>{after:.1%}</b>."


def _card(title: str, subtitle: str, result: dict, film: str) -> str:
    low, high = result["ci95"]
    return _CARD.format(
        title=title,
        subtitle=html.escape(subtitle),
        film=film,
        success=result["success"],
        low=low,
        high=high,
        episodes=result["episodes"],
        length=result["mean_episode_length"],
    )


def embed(path: Path) -> str:
    """A file as a data address, so that the page can be mailed around."""
    kind = {".png": "image/png", ".mp4": "video/mp4"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _next_steps(summary: dict) -> str:
    task, checkpoint = summary["task"], summary["checkpoints"]["finetuned"]
    agent = f"--agent {summary['learner']}_cfg_entry_point"
    return "\n".join(
        [
            f"flow-rl play --rl_library rsl_rl --task {task} {agent} --checkpoint {checkpoint} --viz newton_gl",
            f"flow-rl train --rl_library rsl_rl --task {task} {agent} --checkpoint {checkpoint}",
            f"flow-rl evaluate --task {task} --checkpoint {checkpoint} --num_episodes 512",
        ]
    )


_SMOKE_NOTE = """<p class=note>This is a smoke run: it proves that every phase works on this machine. It is far too
short to learn anything. Run <code>flow-rl demo</code> for the real one.</p>"""

_CARD = """<section class=card><h2>{title}</h2><p>{subtitle}</p>
<video src="{film}" autoplay loop muted playsinline controls></video>
<p class=big>{success:.1%}</p>
<p>of {episodes} episodes succeed (95 % interval {low:.1%} to {high:.1%}),
{length:.0f} control steps on average</p></section>
"""

STYLE = """:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { margin: 1.5rem 0 .3rem; font-size: 1.1rem; }
.lead { font-size: 1.25rem; } .big { font-size: 2.2rem; font-weight: 700; margin: .3rem 0 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; }
.card p { margin: .2rem 0; } .card h2 { margin: 0; }
.note { border-left: 4px solid #d97706; padding-left: .8rem; }
video, img { width: 100%; border-radius: .3rem; } img { background: #fff; }
table { border-collapse: collapse; width: 100%; }
td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; vertical-align: top; }
.n { text-align: right; white-space: nowrap; }
code, pre { font-size: .85rem; overflow-wrap: anywhere; white-space: pre-wrap; }
"""
"""Style sheet of pages about runs."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>flow_rl: {title}</title><style>
{style}</style></head><body>
<h1>{title}</h1>
<p class=lead>{lead}</p>{note}
<div class=pair>{before}{after}</div>
<h2>Learning curve</h2><img src="{curve}" alt="success rate against control steps">
<h2>What was run</h2><table>{phases}</table>
<h2>Go on from here</h2><pre>{next_steps}</pre>
<h2>Facts</h2><table>{facts}</table>
</body></html>
"""
