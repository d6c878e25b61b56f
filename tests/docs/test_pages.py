# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whatever pages name exists: files, headings, commands, tasks, functions and settings. Needs no Sphinx."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from flow_rl.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "exts/flow_rl/docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "benchmarks/RESULTS.md"]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]+)?\)")
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"\bagent\.algorithm\.(\w+)")

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="not in a checkout")


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return CODE.sub("", text)


def anchors(path: Path) -> set[str]:
    """What can be linked to within a page: its headings, as code hosts write them."""
    heads = re.findall(r"^#+ (.*)$", prose(path.read_text()), re.MULTILINE)
    words = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).lower() for head in heads]
    return {"#" + re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in words}


@pytest.fixture(scope="module", params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request) -> Path:
    return request.param


def test_links_lead_somewhere(page):
    broken = []
    for target, anchor in LINK.findall(prose(page.read_text())):
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            broken.append(target + anchor)
    assert broken == []


def test_commands_exist(page):
    assert commands(page) <= {*COMMANDS, "setup", "test", "-p"}
    scripts = re.findall(r"flow_rl\.sh -p (\S+\.py)", page.read_text())
    assert [name for name in scripts if not (ROOT / name).is_file() and name != "scripts/NAME.py"] == []


def commands(page: Path) -> set[str]:
    """First words of the commands in blocks of code."""
    blocks = "\n".join(code for kind, code in CODE.findall(page.read_text()) if kind in ("bash", "text"))
    return set(re.findall(r"^\s*(?:\./flow_rl\.sh|flow-rl) ([\w-]+)", blocks, re.MULTILINE))


def test_tasks_exist(page):
    import gymnasium as gym

    import flow_rl_tasks  # noqa: F401 - registers the tasks

    named = set(re.findall(r"FlowRL-[A-Za-z-]+[a-z]", page.read_text()))
    patterns = {"FlowRL-Kitchen", "FlowRL-OneLeg", "FlowRL-Lamp", "FlowRL-RoundTable"}  # followed by braces
    assert {name for name in named if name not in gym.registry} <= patterns


def test_settings_exist(page):
    """Each is a field of some learner's settings."""
    named = set(FIELD.findall(page.read_text())) - {"clip_parm"}  # a typo on purpose
    assert named <= settings()


def settings() -> set[str]:
    """Names of the settings of all learners."""
    found = set()
    for path in (ROOT / "exts/flow_rl/flow_rl/algorithms").glob("*settings.py"):
        module = importlib.import_module(f"flow_rl.algorithms.{path.stem}")
        classes = [each for each in vars(module).values() if dataclasses.is_dataclass(each)]
        found |= {field.name for each in classes for field in dataclasses.fields(each)}
    return found


def test_functions_are_where_tables_say(page):
    """A cell names files, each followed by what is in it: ``[rldt.py](...) `Rldt.actor_loss`, `agreement```."""
    missing = []
    for line in page.read_text().splitlines():
        cells = line.split("|") if line.startswith("|") else [line]
        for part in [part for cell in cells for part in re.split(r"(?=\[[^\]]*\.py\]\()", cell)]:
            if file := re.match(r"\[[^\]]*\]\(([^)]+\.py)\)(?: ((?:`[\w.]+`(?:, )?)+))?", part):
                known = definitions((page.parent / file[1]).resolve())
                missing += [name for name in re.findall(r"`([\w.]+)`", file[2] or "") if name not in known]
    assert missing == []


def definitions(path: Path) -> set[str]:
    """Functions, classes and methods of a module, such as ``Rldt.actor_loss``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def test_the_reference_lists_every_module():
    listed = {name for path in (DOCS / "api").glob("*.md") for name in re.findall(r":: (\S+)", path.read_text())}
    named = (DOCS / "api/index.md").read_text()
    packages = re.findall(r"`flow_rl\.(\w+)`", named)
    source = ROOT / "exts/flow_rl/flow_rl"
    modules = [path for package in packages for path in (source / package).glob("*.py") if path.stem[0] != "_"]
    assert listed == {f"flow_rl.{path.parent.name}.{path.stem}" for path in modules}
    left_out = {path.parent.name for path in source.glob("*/__init__.py")} - set(packages)
    assert left_out == {"cli", "configs"}, "a package that no page of the reference lists"


def test_every_learner_and_task_has_a_page():
    from flow_rl.configs import learners

    table = (DOCS / "learners/index.md").read_text()
    assert {name for name in learners() if f"`{name}`" not in table} == set()
    pages = "".join(path.read_text() for path in (DOCS / "tasks").glob("*.md"))
    import gymnasium as gym

    import flow_rl_tasks  # noqa: F401 - registers the tasks

    families = {name.split("-")[1] for name in gym.registry if name.startswith("FlowRL-")}
    assert {name for name in families if f"<!-- task FlowRL-{name}-" not in pages} == set()


def test_pages_are_in_a_table_of_contents():
    """Or nobody finds them."""
    listed = set()
    for path in DOCS.rglob("*.md"):
        for kind, tree in re.findall(r"^```\{(toctree)\}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
            assert kind
            names = [line for line in tree.splitlines() if line and line[0] != ":"]
            listed |= {(path.parent / f"{name}.md").resolve() for name in names}
    assert listed == set(DOCS.rglob("*.md")) - {DOCS / "index.md"}


def test_the_readme_is_short_and_shows_the_way():
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= 150
    assert {"setup", "demo", "collect", "pretrain", "train", "evaluate", "play", "new"} <= commands(readme)


def test_the_citation_is_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"{{{version}}}" in (DOCS / "citation.md").read_text()
