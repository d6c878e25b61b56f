# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The demo's bookkeeping: finished phases are kept, failures stop it, other settings are refused."""

import json
from pathlib import Path

import pytest

from flow_rl.cli import demo


def append(path: Path, letter: str) -> list[str]:
    """A command that leaves a trace each time it runs."""
    return ["-c", f"open({str(path)!r}, 'a').write({letter!r})"]


def test_rerun_continues_behind_the_finished_phases(tmp_path):
    trace = tmp_path / "trace"
    first = demo.Demo(tmp_path, {"seed": 1})
    first.run("a", append(trace, "a"))
    with pytest.raises(SystemExit, match="'b' failed with exit code 3"):
        first.run("b", ["-c", "raise SystemExit(3)"])
    again = demo.Demo(tmp_path, {"seed": 1})
    again.run("a", append(trace, "a"))
    again.run("b", append(trace, "b"))
    assert trace.read_text() == "ab"
    assert list(json.loads((tmp_path / "phases.json").read_text())["phases"]) == ["a", "b"]


def test_interrupt_is_not_a_finished_phase(tmp_path, monkeypatch):
    def interrupted(line):
        raise KeyboardInterrupt

    run = demo.Demo(tmp_path, {})
    with pytest.raises(SystemExit, match="same command continues"):
        run.run("a", ["-c", "print(1)"], follow=interrupted)
    assert demo.Demo(tmp_path, {}).phases == {}


def test_failure_of_a_followed_phase_shows_the_end_of_its_log(tmp_path, capsys):
    with pytest.raises(SystemExit, match="a.log"):
        demo.Demo(tmp_path, {}).run("a", ["-c", "raise ValueError('the reason')"], follow=lambda line: None)
    assert "ValueError: the reason" in capsys.readouterr().err


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path):
    demo.Demo(tmp_path, {"seed": 1})
    before = (tmp_path / "phases.json").read_bytes()
    with pytest.raises(SystemExit, match=r"--output .* other settings \(seed=1\).*Choose another --output"):
        demo.Demo(tmp_path, {"seed": 2})
    assert (tmp_path / "phases.json").read_bytes() == before


def test_training_bar_reads_the_stock_runner():
    bar = demo.TrainingBar()
    for line in ("   Learning iteration 0/3   ", "  Metrics/success_rate: 0.5000", "   Learning iteration 1/3   "):
        bar(line)
    assert (bar.bar.n, bar.bar.total) == (2, 3)
    assert "success=0.5000" in str(bar.bar)
