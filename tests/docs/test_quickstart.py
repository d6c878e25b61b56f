# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The commands of the quickstart work as they stand, one after the other."""

import re
import shlex
from pathlib import Path

import pytest

from tests.commands import run_python

PAGE = Path(__file__).resolve().parents[2] / "exts/flow_rl/docs/quickstart.md"

pytestmark = [
    pytest.mark.sim,
    pytest.mark.slow,
    pytest.mark.skipif(not PAGE.is_file(), reason="not in a checkout"),
]


def commands(text: str) -> list[list[str]]:
    """Words of the commands in blocks of bash, the demo's left out: .ci/run runs that."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("./flow_rl.sh ")]
    return [words for words in found if words[0] != "demo"]


def test_the_quickstart_works(tmp_path):
    words = commands(PAGE.read_text())
    assert [first for first, *_ in words] == ["collect", "data", "pretrain", "evaluate", "train"]
    for each in words:
        run = run_python("-m", "flow_rl.cli.main", *each, cwd=tmp_path)
        assert run.returncode == 0, f"{shlex.join(each)}: {run.stderr[-3000:]}"
        if each[0] == "evaluate":
            assert re.search(r'"success": [\d.]+,\s+"ci95"', run.stdout), "success with its interval"
    assert list(tmp_path.glob("logs/rsl_rl/score_flow/*/model_*.pt")), "training leaves checkpoints"
