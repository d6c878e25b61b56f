# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What Isaac Lab's commands find when they are called through ours."""

import pytest

from flow_rl.cli.stock import newest_or_best


@pytest.mark.parametrize(
    "selector, files, found",
    [
        ("latest", ["model_9.pt", "model_10.pt", "model_best.pt"], "model_10.pt"),
        ("best", ["model_9.pt", "model_10.pt", "model_best.pt"], "model_best.pt"),
        ("best", ["model_9.pt", "model_10.pt", "model_10.pt.partial"], "model_10.pt"),
    ],
)
def test_latest_and_best_checkpoints(selector, files, found, tmp_path):
    """The host's own search, with names told apart."""
    from isaaclab_rl.entrypoints.common import resolve_checkpoint_selector, write_run_manifest

    run = tmp_path / "2026-11-29_10-00-00"
    run.mkdir()
    write_run_manifest(str(run), library="rsl_rl", task="T", metadata={"agent": "A"})
    for name in files:
        (run / name).touch()
    resolve = newest_or_best(resolve_checkpoint_selector)
    how = {"library": "rsl_rl", "task": "T", "checkpoint_pattern": r"model_.*\.pt", "metadata": {"agent": "A"}}
    assert resolve(str(tmp_path), selector, **how) == str(run / found)
