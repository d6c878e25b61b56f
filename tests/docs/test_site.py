# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The site builds without a warning, and tables of tasks are those of the present configurations."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "exts/flow_rl/docs"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DOCS.is_dir(), reason="not in a checkout")]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Folder of the built pages."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="the site is built where the extra docs is installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", DOCS, folder / "html"]
    run = subprocess.run([*command, "-d", folder / "doctrees"], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-6000:]
    return folder / "html"


def test_every_page_is_built_with_its_pictures_and_equations(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()
    broken = []
    for page in pages:
        for target in re.findall(r'<(?:img|a)[^>]+(?:src|href)="(?!\w+:|#)([^"#?]+)', (site / page).read_text()):
            broken += [(str(page), target)] * (not ((site / page).parent / target).exists())
    assert broken == []
    equations = (site / "learners/rldt.html").read_text()
    assert equations.count("<math") > 5 and "\\nabla" not in equations


def test_pages_that_are_files_elsewhere_hold_their_text(site):
    for page, words in {"changelog": "Keep a Changelog", "security": "weights_only", "results": "Wilson"}.items():
        assert words in (site / f"{page}.html").read_text()


def test_docstrings_are_in_the_reference(site):
    page = (site / "api/algorithms.html").read_text()
    assert 'id="flow_rl.algorithms.rldt.Rldt.actor_loss"' in page
    assert "Weight of the repulsion between particles" in page, "settings are described"


@pytest.mark.sim
def test_tables_of_tasks_are_those_of_the_present_configurations():
    spec = importlib.util.spec_from_file_location("task_pages", DOCS / "task_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path in sorted(module.PAGES.glob("*.md")):
        text = path.read_text()
        assert module.filled(text) == text, f"{path.name}: run ./flow_rl.sh -p exts/flow_rl/docs/task_pages.py"
