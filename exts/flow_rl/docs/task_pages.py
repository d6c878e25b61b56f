# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Fill the tables of the task pages from registrations and configurations; starts no simulator.

    ./flow_rl.sh -p exts/flow_rl/docs/task_pages.py

Each page has marks ``<!-- task FlowRL-... -->`` and ``<!-- end -->``; what stands between them is written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parent / "tasks"
BLOCK = re.compile(r"(<!-- task (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """Text of a page whose tables are those of the present configurations."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{tables(block[2])}\n\n{block[3]}", text)


def tables(task: str) -> str:
    """What registration and configuration say of a task, as Markdown."""
    import gymnasium as gym

    import flow_rl_tasks  # noqa: F401 - registers the tasks
    from flow_rl.configs.compose import load, resolve

    kwargs = gym.spec(task).kwargs
    cfg = resolve(load(kwargs["env_cfg_entry_point"])())
    summary, chunk = kwargs["summary"], cfg.actions.chunk
    ticks = round(cfg.episode_length_s / cfg.sim.dt)
    rows = [
        ("Observation", f"{summary['obs_dim']} numbers, group `policy`"),
        ("Action", f"{summary['action_dim']} numbers: {', '.join(_names(chunk.terms))}"),
        ("Decision", f"a chunk of {chunk.horizon} actions, one per control step of {cfg.sim.dt:g} s"),
        ("Episode", f"at most {ticks} control steps ({cfg.episode_length_s:g} s)"),
        ("Scripted expert", f"`{kwargs['expert_entry_point'].rpartition(':')[2]}`"),
        ("Configuration", f"`{kwargs['env_cfg_entry_point']}`"),
    ]
    parts = [_table(("", ""), rows), "**Observations**", _table(("Group", "Term", "Unit", "Frame", "What"), _seen(cfg))]
    parts += ["**Rewards**", _table(("Term", "Weight", "What"), _rewards(cfg))]
    parts += ["**Ends of an episode**", _table(("Term", "What"), _ends(cfg))]
    parts += ["**Randomised at resets**", _table(("Term", "Range"), _resets(cfg))]
    return "\n\n".join(parts)


def _seen(cfg: Any) -> Iterator[tuple[str, ...]]:
    for group, terms in vars(cfg.observations).items():
        for name, term in _terms(terms):
            func = term.func
            units, frame = getattr(func, "units", None) or "-", getattr(func, "frame", None) or "-"
            yield f"`{group}`", f"`{name}`", units, frame, _said(func)


def _rewards(cfg: Any) -> Iterator[tuple[str, ...]]:
    for name, term in _terms(cfg.rewards):
        yield f"`{name}`", f"{term.weight:g}", _said(term.func)


def _ends(cfg: Any) -> Iterator[tuple[str, ...]]:
    for name, term in _terms(cfg.terminations):
        held = term.params.get("term")  # of a latch, which asks at every control step
        parts = [term] if held is None else held.params.get("terms", [held])
        yield f"`{name}`", " ".join(dict.fromkeys(_said(part.func) for part in parts))


def _resets(cfg: Any) -> Iterator[tuple[str, ...]]:
    for name, term in _terms(cfg.events):
        if term.mode != "reset":
            continue
        ranges = {}
        for key, value in term.params.items():
            if isinstance(value, dict):
                ranges |= value
            elif isinstance(value, tuple | float):
                ranges[key] = value
        said = [f"{key} {_range(value)}" for key, value in ranges.items() if value not in ((0.0, 0.0), (-0.0, 0.0))]
        yield f"`{name}`", ", ".join(said) or "to where it began"


def _range(value: Any) -> str:
    if isinstance(value, tuple):
        low, high = value
        return f"+-{high:.3g}" if low == -high else f"{low:.3g} to {high:.3g}"
    return f"+-{value:.3g}"


def _terms(group: Any) -> list[tuple[str, Any]]:
    """Terms of a group of a configuration, those that a preset switches on left out."""
    return [(name, term) for name, term in vars(group or object).items() if hasattr(term, "func")]


def _names(terms: Any) -> list[str]:
    return [f"`{name}`" for name, term in vars(terms).items() if hasattr(term, "asset_name")]


def _said(func: Any) -> str:
    """First paragraph of what a term says of itself, without shapes of tensors."""
    text = " ".join(func.__doc__.split("\n\n")[0].split())
    text = re.sub(r",? ?shapes? \([^)]*\)", "", text).replace("|", r"\|")
    return re.sub(r"(?::\w+:)?`+~?([^`]+)`+", r"`\1`", text)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [[f" {cell} " if cell else " " for cell in row] for row in (head, ("---",) * len(head), *rows)]
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


def main() -> None:
    """Renew the pages whose tables are not those of the present configurations."""
    for path in sorted(PAGES.glob("*.md")):
        if (text := filled(old := path.read_text())) != old:
            path.write_text(text)
            print(f"[flow_rl] {path}")


if __name__ == "__main__":
    main()
