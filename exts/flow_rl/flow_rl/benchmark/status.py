# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How far a suite is, from its folder alone: whoever runs its jobs, wherever, and also when nobody does."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flow_rl.evaluation.score import score, shown
from flow_rl.utils.check import require
from flow_rl.utils.files import read_json, reading

from . import bases, failures, resume
from .command import read_curve
from .harness import PLAN
from .lease import is_held, owner_of

if TYPE_CHECKING:
    from rich.table import Table

COLORS = {"done": "green", "running": "cyan", "failed": "red", "stopped": "yellow", "waiting": "dim"}
"""States of a job, and how they look."""

TAIL = 65536
"""Bytes at the end of a log that are looked at; an iteration's lines are a twentieth of it."""


@dataclass
class State:
    """Where a job is."""

    title: str
    state: str = "waiting"
    """waiting, running, done, failed, or stopped: begun, and nobody is at it."""
    iteration: int | None = None
    iterations: int | None = None
    result: str | None = None
    """Success or return of the last evaluation."""
    left: str | None = None
    """Time left of one that runs, h:mm:ss."""
    detail: str = ""
    """Last line of the log of one that failed; who is at one that runs."""

    @property
    def ends(self) -> bool:
        """Whether nobody will change it unless the suite's command is repeated."""
        return self.state in ("done", "failed", "stopped")


def states(folder: Path) -> list[State]:
    """Return the states of a suite's policies and runs.

    Raises:
        InputError: If no suite was run in the folder.
    """
    path = folder / PLAN
    remedy = "name the folder of a suite, such as outputs/benchmark/lift; its command makes the file."
    require(path.is_file(), "FOLDER", str(folder), f"a folder with {PLAN}", remedy)
    with reading(folder, "what flow-rl benchmark has written", "run the suite again, which writes the files anew."):
        plan = read_json(path, "a suite's plan", "run the suite again.")
        policies = [json.loads(each.read_text()) for each in sorted((folder / bases.FOLDER).glob("*.json"))]
        return [_base(each["title"], folder / each["folder"]) for each in policies] + [
            _run(each["title"], folder / each["folder"], folder / each["record"], plan["seconds"])
            for each in plan["runs"]
        ]


def as_json(folder: Path) -> str:
    """States as JSON, one entry a job."""
    return json.dumps([dataclasses.asdict(state) for state in states(folder)], indent=1)


def show(folder: Path, every: float | None) -> None:
    """Print a table of the states; with a number of seconds, renew it until nothing waits or runs, or Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    known = states(folder)
    if every is None:
        Console().print(_table(folder, known))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(_table(folder, known), refresh_per_second=4) as live:
        while not all(state.ends for state in known):
            time.sleep(every)
            live.update(_table(folder, known := states(folder)))


def _run(title: str, folder: Path, record: Path, seconds: float | None) -> State:
    state = State(title)
    if record.is_file():
        final = json.loads(record.read_text())["final"]
        state.state, state.result = "done", shown(score(final), final)
        state.iteration = state.iterations = final["iteration"]
        return state
    curve = read_curve(folder) if folder.is_dir() else []
    if curve:
        state.iteration, state.result = curve[-1]["iteration"], shown(score(curve[-1]), curve[-1])
    log = _newest(folder, "train*.log")
    text = _tail(log)
    if (path := folder / resume.STATE).is_file():
        state.iterations = json.loads(path.read_text())["iterations"]
    if found := re.findall(r"Learning iteration (\d+)/(\d+)", text):
        now, end = (int(number) for number in found[-1])  # which count anew by one less when training goes on
        state.iteration = now + 1 + (state.iterations or end) - end
    if is_held(folder):
        state.state, state.detail = "running", owner_of(folder)
        ends = re.findall(r"ETA: *(\S.*)", text)
        state.left = ends[-1].strip() if ends else None
        if seconds is not None:
            state.left = _clock(seconds - curve[-1]["seconds"]) if curve else None
    else:
        _ended(state, folder, log)
    return state


def _base(title: str, folder: Path) -> State:
    """State of a policy: how many of its parts are made, and which one is at work."""
    state = State(title)
    path = folder / bases.STATE
    made = set(json.loads(path.read_text())["commands"]) if path.is_file() else set()
    log = _newest(folder, "*.log")
    if {"pretrain", "evaluate"} <= made:
        result = json.loads((folder / "pretrained.json").read_text())
        state.state, state.result = "done", shown(score(result), result)
    elif is_held(folder):
        state.state = "running"
        state.detail = ", ".join([*([log.stem] if log else []), owner_of(folder)])
    else:
        _ended(state, folder, log)
    return state


def _ended(state: State, folder: Path, log: Path | None) -> None:
    """State of what has no result, and at which nobody is."""
    failure = failures.last_line(folder)
    if failure is not None:
        state.state, state.detail = "failed", failure
    elif log is not None:
        state.state, state.detail = "stopped", "the suite's command goes on with it"


def _newest(folder: Path, pattern: str) -> Path | None:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime, default=None)


def _tail(log: Path | None) -> str:
    """End of a log."""
    if log is None:
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read().decode(errors="replace")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _table(folder: Path, known: list[State]) -> Table:
    from rich.table import Table
    from rich.text import Text

    counts = Counter(state.state for state in known)
    title = f"{folder.resolve().name}: " + ", ".join(f"{counts[name]} {name}" for name in COLORS if counts[name])
    table = Table("job", "state", "iteration", "so far", "left", "", title=title)
    for state in known:
        title, name, *others = (Text(cell) for cell in _cells(state))
        name.stylize(COLORS[state.state])
        table.add_row(title, name, *others)
    return table


def _cells(state: State) -> Iterator[str]:
    yield from (state.title, state.state)
    done, whole = state.iteration, state.iterations
    yield "" if done is None else f"{done}/{whole}" if whole else str(done)
    yield from (state.result or "", state.left or "", state.detail)
