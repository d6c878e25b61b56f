# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The repository keeps its promises: a fixed layout, one exact environment, no trace of the machine that wrote it."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import itertools
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "exts/flow_rl/docs"
"""Pages, which no wheel holds."""
LAYOUT = {
    "exts", "tasks", "scripts", "assets", "tests", "extension.toml", "pyproject.toml", "README.md", "CHANGELOG.md",
    "LICENSE", "CONTRIBUTING.md", "flow_rl.sh", "benchmarks", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml",
    ".python-version", "CITATION.cff", "SECURITY.md",
}  # fmt: skip
MACHINE_TRACES = re.compile(r"(?<![\w.}])/(root|home|work|opt|Users)/|file://|pypi\.org|pythonhosted|index[-_]url\s*=")
THROUGH_ISAAC_LAB = {"hydra-core", "wandb"}
"""Named by the user, used through Isaac Lab's command line: it reads overrides and logs with them."""
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)")


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: list[str]) -> dict[str, str]:
    """Name and version of requirements that must all be exact."""
    matches = {text: REQUIREMENT.fullmatch(text) for text in requirements}
    assert all(matches.values()), [text for text, match in matches.items() if not match]
    return {normalise(match[1]): match[2] for match in matches.values()}


def requirements(project: dict) -> list[str]:
    """What the package asks for, with and without its extras, but for what its developers use."""
    extras = project["project"]["optional-dependencies"]
    extras = [each for name, each in extras.items() if name not in ("dev", "docs")]
    return [*project["project"]["dependencies"], *itertools.chain.from_iterable(extras)]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file in git's index; what others leave beside a checkout (logs of a job) is theirs."""
    command = ["git", "ls-files", "-z", "--cached"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sources(tracked) -> dict[Path, str]:
    return {path: path.read_text() for path in tracked if path.suffix == ".py"}


def test_layout_is_fixed(tracked):
    assert {path.relative_to(ROOT).parts[0] for path in tracked} == LAYOUT


def test_files_are_small(tracked):
    assert [path for path in tracked if path.stat().st_size > 2e6] == []


def test_files_name_no_machine(tracked):
    found = []
    for path in tracked:
        text = path.read_bytes().decode("utf-8", errors="ignore") if path != Path(__file__) else ""
        found += [f"{path.name}: {line.strip()}" for line in text.splitlines() if MACHINE_TRACES.search(line)]
    assert found == []


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["codespell"]], ids=" ".join)
def test_sources_are_clean(tracked, command):
    """As before each commit, where somebody has not installed what .pre-commit-config.yaml says."""
    folder = Path(sys.executable).parent
    files = [path for path in tracked if path.suffix in (".py", ".md", ".toml", ".yaml")]
    if command[0] == "ruff":
        files = [path for path in files if path.suffix == ".py"]
    result = subprocess.run([folder / command[0], *command[1:], *files], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_lock_file_stays_outside(tracked):
    assert ROOT / "uv.lock" not in tracked


def test_sources_carry_the_licence(sources):
    header = "# Copyright (c) 2026, The flow_rl Developers.\n# SPDX-License-Identifier: BSD-3-Clause\n"
    assert [path for path, text in sources.items() if not text.startswith(header)] == []


def test_every_installed_package_is_pinned(project):
    """What flow_rl.sh installs is what pyproject.toml says, to the last transitive version."""
    constraints = pins(project["tool"]["uv"]["constraint-dependencies"])
    # of the environment alone: Ray, once imported, has packages of its own on the path
    packages = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed = {normalise(dist.name): dist.version for dist in packages}
    del installed[project["project"]["name"]]
    assert installed == constraints


def test_ranges_admit_the_pins_and_say_why_they_end(project):
    """Users of Isaac Lab keep what they have; an upper bound has its reason beside it."""
    constraints = pins(project["tool"]["uv"]["constraint-dependencies"])
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for text in requirements(project):
        requirement = Requirement(text)
        assert constraints[normalise(requirement.name)] in requirement.specifier, text
        if any(part.operator in ("<", "<=", "==", "~=", "!=") for part in requirement.specifier):
            (line,) = [line for line in lines if f'"{text}"' in line]
            assert "#" in line, f"{text} has an upper bound without a reason"


def test_dependencies_are_what_is_imported(project, sources):
    """Lean: nothing is asked for that nothing uses, and nothing is used that was not asked for."""
    imported, quoted = set(), set()
    for path, text in sources.items():
        if path.is_relative_to(ROOT / "tests") or path.is_relative_to(DOCS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                quoted.add(node.value)  # a package of data is found by its name
    modules = importlib.metadata.packages_distributions()
    used = {normalise(name) for module in imported for name in modules.get(module, [])} - {project["project"]["name"]}
    asked_for = {normalise(Requirement(text).name) for text in requirements(project)}
    assert used - asked_for - {"omegaconf"} == set()  # Hydra's language of settings comes with it
    assert asked_for - used - quoted - THROUGH_ISAAC_LAB == set()


def test_a_wheel_holds_every_file(project, tracked):
    """Whatever is not a module of a package is left out, and nobody notices in a checkout."""
    setuptools = project["tool"]["setuptools"]
    for where in setuptools["packages"]["find"]["where"]:
        files = {path for path in tracked if path.is_relative_to(ROOT / where) and not path.is_relative_to(DOCS)}
        assert files
        for package, patterns in setuptools["package-data"].items():
            for pattern in patterns:
                files -= set((ROOT / where / package.replace(".", "/")).glob(pattern))
        assert [path for path in files if path.suffix != ".py" or not (path.parent / "__init__.py").exists()] == []


def test_the_command_exists(project):
    module, _, name = project["project"]["scripts"]["flow-rl"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_isaac_lab_finds_the_tasks():
    (entry,) = importlib.metadata.entry_points(group="isaaclab.tasks")
    assert entry.load().__name__ == "flow_rl_tasks"


def test_extension_describes_the_project(project):
    extension = tomllib.loads((ROOT / "extension.toml").read_text())
    assert extension["package"]["version"] == project["project"]["version"]
    assert extension["package"]["description"] == project["project"]["description"]
    modules = {module["name"] for module in extension["python"]["module"]}
    folders = [ROOT / folder for folder in project["tool"]["setuptools"]["packages"]["find"]["where"]]
    assert modules == {path.parent.name for folder in folders for path in folder.glob("*/__init__.py")}


def test_changelog_has_the_version(project):
    assert f"## {project['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()
