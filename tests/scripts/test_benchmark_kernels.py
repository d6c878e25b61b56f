# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The kernels' benchmark runs and reports."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = str(Path(__file__).resolve().parents[2] / "scripts/benchmark_kernels.py")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script and return what it printed; the suite keeps its number of threads."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmark_kernels", *words])
        threads = torch.get_num_threads()
        try:
            runpy.run_path(SCRIPT, run_name="__main__")
        finally:
            torch.set_num_threads(threads)
        return capsys.readouterr().out

    return run


def test_quick(run, tmp_path):
    """Times, bandwidths and the machine reach the table, the JSON and the plot; what was left out says so."""
    out = run("--quick", "--no-compile", "--device", "cpu", "--output", str(tmp_path))
    assert "svgd_field" in out
    assert "lambda_scan" in out
    report = json.loads((tmp_path / "cpu.json").read_text())
    assert report["machine"].keys() == {"hardware", "date", "versions", "revision"}
    for row in report["rows"]:
        assert row["ms"].keys() == {"torch", "warp", "copy", "compile"}
        assert row["ms"]["compile"] is None
        assert all(row["gb_per_s"][name] > 0.0 for name in ("torch", "warp", "copy"))
    assert (tmp_path / "cpu.png").stat().st_size < 2e5


def test_unknown_device(run, capsys):
    """A device that is not there stops it before anything is measured."""
    with pytest.raises(SystemExit):
        run("--device", "cuda:99")
    assert "--device = 'cuda:99' is not valid" in capsys.readouterr().err
