# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""flow_rl.sh sets up what is missing, once, and says in one line what stops it.

The script runs in a bare checkout of its own. Where a test is not about uv or pip themselves, uv is a stub that makes
an environment out of a Python that prints its arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flow_rl.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["awk", "bash", "cat", "cp", "df", "dirname", "env", "flock", "mkdir", "nproc", "readlink", "rm", "sha256sum"]
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)
FAKE_PYTHON = '#!/usr/bin/env bash\necho "$PWD: $*"\n'
FAKE_UV = """#!/usr/bin/env bash
[[ $1 == sync ]] || { echo "uv VERSION"; exit; }
echo sync >>"{checkout}/calls"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
cp "{checkout}/fake_python" "$UV_PROJECT_ENVIRONMENT/bin/python"
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Checkout:
    """A checkout with nothing but flow_rl.sh, and a machine with nothing but a few tools and Python 3.12."""

    def __init__(self, folder: Path):
        self.folder = folder / "checkout"
        self.bin = folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        for name in ("flow_rl.sh", "pyproject.toml", ".python-version"):
            shutil.copy2(ROOT / name, self.folder / name)
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        (self.bin / "python3.12").symlink_to(BASE_PYTHON)
        self.env = {"PATH": str(self.bin), "HOME": str(folder)}
        self.uv = self.folder / ".tool/bin/uv"

    def stub_uv(self) -> None:
        version = next(line.split("=")[1] for line in self.script.splitlines() if line.startswith("UV_VERSION="))
        write_program(self.folder / "fake_python", FAKE_PYTHON)
        write_program(self.uv, FAKE_UV.replace("VERSION", version).replace("{checkout}", str(self.folder)))

    @property
    def script(self) -> str:
        return (self.folder / "flow_rl.sh").read_text()

    @property
    def syncs(self) -> int:
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    def run(self, *args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / "flow_rl.sh"), *args]
        return subprocess.run(
            command, cwd=cwd or self.folder, env=self.env | env, capture_output=True, text=True, timeout=120
        )

    def error(self, *args: str, **env: str) -> str:
        """The error line of a run that must fail; everything before it is progress."""
        result = self.run(*args, **env)
        assert result.returncode != 0
        *progress, error = result.stderr.splitlines()
        assert error.startswith("flow_rl: error: ")
        assert len(progress) <= 1 and not result.stdout
        return error


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    checkout.stub_uv()
    assert checkout.run("setup").returncode == 0
    return checkout


def test_help_needs_no_environment(checkout):
    for args in ([], ["--help"]):
        result = checkout.run(*args)
        assert result.returncode == 0
        assert "Usage: ./flow_rl.sh" in result.stdout and not result.stderr
        assert set(COMMANDS) <= set(result.stdout.split())
    assert not (checkout.folder / ".venv").exists()


def test_missing_python_is_named(checkout):
    (checkout.bin / "python3.12").unlink()
    assert "Python 3.12 is missing" in checkout.error("setup")


def test_another_python_is_not_enough(checkout):
    (checkout.bin / "python3.12").unlink()
    write_program(checkout.bin / "python3", "#!/usr/bin/env bash\n[[ $1 == -c ]] || exit 1\n")  # answers like 3.11
    assert "Python 3.12 is missing" in checkout.error("demo")


def test_python_of_pyenv_is_found(checkout):
    (checkout.bin / "python3.12").unlink()
    pyenv = checkout.folder.parent / ".pyenv/versions/3.12.1/bin"
    pyenv.mkdir(parents=True)
    (pyenv / "python").symlink_to(BASE_PYTHON)
    checkout.stub_uv()
    assert checkout.run("setup").returncode == 0


def test_missing_pip_is_named(checkout):
    (checkout.bin / "python3.12").unlink()
    python = "#!/usr/bin/env bash\n[[ $1 == -c ]] && echo /usr/bin/python3.12\n"
    write_program(checkout.bin / "python3.12", python)
    error = checkout.error("setup")
    assert "pip is missing" in error


def test_full_disk_is_named(checkout):
    (checkout.bin / "df").unlink()
    write_program(checkout.bin / "df", "#!/usr/bin/env bash\necho header\necho disk 100000000 0 7000000 99% /\n")
    error = checkout.error("setup")
    assert "10 GB" in error and "7 GB are free" in error
    checkout.stub_uv()
    assert checkout.run("setup", FLOW_RL_MIN_DISK_GB="7").returncode == 0


def test_missing_network_is_named_by_pip(checkout):
    """Nothing is there yet: pip cannot fetch uv."""
    error = checkout.error(
        "setup", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0"
    )
    assert "check the network" in error


@pytest.mark.skipif(not (ROOT / ".tool/bin/uv").exists(), reason="this environment was not made by flow_rl.sh")
def test_missing_network_is_named_by_uv(checkout, tmp_path):
    """The uv is there, the packages are not."""
    checkout.uv.parent.mkdir(parents=True)
    checkout.uv.symlink_to(ROOT / ".tool/bin/uv")
    error = checkout.error("setup", UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "cache"))
    assert "check the network" in error
    assert (checkout.folder / ".tool/setup.log").read_text()


def test_set_up_happens_once(ready):
    assert ready.syncs == 1
    start = time.perf_counter()
    result = ready.run("train")
    assert time.perf_counter() - start < 2.0
    assert result.stderr == ""
    assert ready.syncs == 1


def test_set_up_follows_the_pins(ready):
    with (ready.folder / "pyproject.toml").open("a") as file:
        file.write("\n# another pin\n")
    ready.run("setup")
    assert ready.syncs == 2


def test_failed_set_up_is_repeated(checkout):
    checkout.stub_uv()
    works = checkout.uv.read_text()
    checkout.uv.write_text(works + "exit 1\n")
    assert "could not be installed" in checkout.error("setup")
    checkout.uv.write_text(works)
    assert checkout.run("setup").returncode == 0
    assert checkout.syncs == 2


@pytest.mark.parametrize("status", [0, 1])
def test_robot_is_built_at_set_up(checkout, status):
    checkout.stub_uv()
    (checkout.folder / "assets/flow_rl_assets").mkdir(parents=True)
    (checkout.folder / "assets/flow_rl_assets/build.py").touch()
    write_program(checkout.folder / "fake_python", f'#!/usr/bin/env bash\necho "$*"\nexit {status}\n')
    if status:
        assert "the robot could not be built" in checkout.error("setup")
    else:
        assert checkout.run("setup").returncode == 0
    assert (checkout.folder / ".tool/setup.log").read_text() == "-m flow_rl_assets.build\n"


def test_interrupted_set_up_starts_afresh(ready):
    """Half a package would pass for a whole one."""
    (ready.folder / ".venv/.flow_rl").unlink()
    half = ready.folder / ".venv/half_a_package"
    half.touch()
    assert ready.run("setup").returncode == 0
    assert not half.exists()


def test_moved_checkout_is_set_up_again(ready):
    elsewhere = ready.folder.parent / "elsewhere"
    shutil.copytree(ready.folder, elsewhere, symlinks=True)
    subprocess.run([elsewhere / "flow_rl.sh", "setup"], env=ready.env, check=True, capture_output=True)
    assert ready.syncs == 2


def test_parallel_set_ups_wait_for_each_other(checkout):
    checkout.stub_uv()
    command = [str(checkout.folder / "flow_rl.sh"), "setup"]
    runs = [subprocess.Popen(command, env=checkout.env, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    assert checkout.syncs == 1


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        (["random_agent", "--task", "T", "a b"], "-m isaaclab random_agent --task T a b"),
        (["train", "--device", "cuda:1", "a=b"], "-m flow_rl.cli.main train --device cuda:1 a=b"),
        *[([name, "a b"], f"-m flow_rl.cli.main {name} a b") for name in COMMANDS],
        (["test", "-x"], "-m pytest -n 2 --dist loadfile --no-loadscope-reorder -m  -x"),
        (["test", "--fast", "-x"], "-m pytest -n 2 --dist loadfile --no-loadscope-reorder -m not sim and not slow -x"),
        (["-p", "mine.py", "1"], "mine.py 1"),
        (["-p", "scripts/ours.py", "1"], "{root}/scripts/ours.py 1"),
    ],
)
def test_commands_work_from_anywhere(ready, tmp_path, args, arguments):
    (ready.folder / "scripts").mkdir()
    (ready.folder / "scripts/ours.py").touch()
    result = ready.run(*args, cwd=tmp_path)
    folder = ready.folder if args[0] == "test" else tmp_path
    assert result.stdout.strip() == f"{folder}: {arguments.format(root=ready.folder)}"


def test_script_works_through_a_link(ready, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(ready.folder / "flow_rl.sh")
    result = subprocess.run([link, "list_envs"], env=ready.env, capture_output=True, text=True)
    assert "-m isaaclab list_envs" in result.stdout


def test_exit_code_passes_through(ready):
    write_program(ready.folder / ".venv/bin/python", "#!/usr/bin/env bash\nexit 7\n")
    assert ready.run("play").returncode == 7


def test_number_of_threads_is_the_users_choice(ready):
    write_program(ready.folder / ".venv/bin/python", '#!/usr/bin/env bash\necho "$OMP_NUM_THREADS"\n')
    assert ready.run("play", OMP_NUM_THREADS="3").stdout == "3\n"


def test_commands_execute_nothing_of_checkpoints(ready):
    """Whatever the user's shell says; torch refuses to load anything where both variables are set."""
    python = '#!/usr/bin/env bash\necho "$TORCH_FORCE_WEIGHTS_ONLY_LOAD${TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD-}"\n'
    write_program(ready.folder / ".venv/bin/python", python)
    env = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "0", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    assert ready.run("leapp", **env).stdout == "1\n"
