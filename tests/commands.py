# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Python in a process of its own that has not to import torch and Isaac Lab again.

Importing takes longer than most commands that tests run. A server imports once and forks for each command; what a
command does from its first line on is the same. Tests of how a process begins start a true one.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import traceback
import uuid
from pathlib import Path

import torch

# what has begun to use a GPU cannot be forked
CONTEXT = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "forkserver")
CONTEXT.set_forkserver_preload(
    [
        "flow_rl.evaluation.policies",
        "flow_rl_tasks.core.env",
        "flow_rl_tasks.mdp",
        "isaaclab.actuators.newton",
        "isaaclab.envs",
        "isaaclab_tasks",
    ]
)


class Python:
    """A Python that runs; the interface is what tests need of :class:`subprocess.Popen`."""

    def __init__(self, *words: object, cwd: Path, **variables: str):
        """Start it, without a screen.

        Args:
            words: What stands behind ``python``: ``-m MODULE ...``, ``-c CODE`` or ``FILE ...``.
            cwd: Folder that it runs in.
            variables: Variables of its environment beside ours.
        """
        self.words = [str(word) for word in words]
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        environment |= {"OMP_NUM_THREADS": "1"} | variables
        name = uuid.uuid4().hex
        self.files = [Path(cwd, f".{name}.{stream}") for stream in ("stdout", "stderr")]
        self.process = CONTEXT.Process(target=_main, args=(self.words, cwd, environment, self.files))
        self.process.start()

    @property
    def returncode(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """Wait for the end, and return what went to both streams.

        Raises:
            subprocess.TimeoutExpired: If it takes longer [s]; it is killed then.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise subprocess.TimeoutExpired(self.words, timeout)
        out, err = (file.read_text(errors="replace") if file.exists() else "" for file in self.files)
        for file in self.files:
            file.unlink(missing_ok=True)
        return out, err


def run_python(*words: object, cwd: Path, timeout: float = 600, **variables: str) -> subprocess.CompletedProcess:
    """Run Python until it ends; see :class:`Python`."""
    process = Python(*words, cwd=cwd, **variables)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(process.words, process.returncode, out, err)


def _main(words: list[str], cwd: Path, environment: dict[str, str], files: list[Path]) -> None:
    """What a process does; its streams are files from the first word on, those of libraries included."""
    for file, descriptor in zip(files, (1, 2), strict=True):
        with file.open("w") as sink:
            os.dup2(sink.fileno(), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    code = 1
    try:
        _interpret(words)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # kernels print past Python
        os._exit(code)


def _interpret(words: list[str]) -> None:
    """As ``python`` does with these words."""
    kind, *rest = words
    if kind == "-c":
        sys.argv = words
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        sys.path.insert(0, os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(kind).parent))
        runpy.run_path(kind, run_name="__main__")
