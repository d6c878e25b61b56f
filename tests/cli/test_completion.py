# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Shells are told how a command line may go on, by bash itself in one case."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOW_RL = Path(sys.executable).with_name("flow-rl")


def continuations(line: str, tmp_path) -> list[str]:
    """Ask as the functions of argcomplete do."""
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    run = subprocess.run(
        [sys.executable, "-m", "flow_rl.cli.main"], env=os.environ | asked, capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("", "")
    return [word.strip() for word in answer.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flow-rl ev", {"evaluate"}),
        ("./flow_rl.sh evaluate --po", {"--policy"}),
        ("flow-rl evaluate --policy ", {"expert", "zero", "random"}),
        ("flow-rl tasks FlowRL-Kitchen-P", {"FlowRL-Kitchen-Partial-Franka", "FlowRL-Kitchen-Partial-Franka-Vision"}),
        (
            "flow-rl train --seed 1 --task FlowRL-Tr",
            {"FlowRL-Transport-DualFranka", "FlowRL-Transport-DualFranka-Vision"},
        ),
        ("flow-rl train --agent sc", {"score_flow_cfg_entry_point"}),
        ("flow-rl train --dr", {"--dry_run"}),
        ("flow-rl learners sc", {"score_flow"}),
        ("flow-rl benchmark r", {"report", "rivals", "rldt"}),
        ("flow-rl data fil", {"filter"}),
    ],
)
def test_a_line_goes_on(line, expected, tmp_path):
    assert set(continuations(line, tmp_path)) == expected


def test_bash_asks_the_command():
    line = "flow-rl evaluate --po"
    script = f"""
        eval "$({FLOW_RL} completion)"
        complete -p flow-rl flow_rl.sh >/dev/null || exit 1
        COMP_LINE="{line}" COMP_POINT={len(line)} COMP_TYPE=9 COMP_WORDS=({line}) COMP_CWORD=2
        _python_argcomplete {FLOW_RL} --po evaluate
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    run = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True)
    assert (run.returncode, run.stdout.split()) == (0, ["--policy"]), run.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_function(shell):
    run = subprocess.run([FLOW_RL, "completion", shell], capture_output=True, text=True)
    assert run.returncode == 0 and "flow-rl" in run.stdout and "flow_rl.sh" in run.stdout
