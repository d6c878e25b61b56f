# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Makes malformed files out of good ones, and judges how a command takes them."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flow_rl.cli.options import one_line_errors

FOREIGN = {
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
    "zip": b"PK\x05\x06" + 18 * b"\0",
    "HDF5": b"\x89HDF\r\n\x1a\n" + 600 * b"\0",
    "JSON": b'{"a": [1, 2.5, null]}',
    "list": b"[1, 2]",
    "number": b"7",
    "YAML": b"a: !!python/object/apply:os.getcwd []\n",
    "deep": 20_000 * b"[",
    "Latin-1": b'{"name": "\xe9\xff"}',
    "zeros": 4096 * b"\0",
    "picture": b"\x89PNG\r\n\x1a\n" + 64 * b"\1",
}
"""Contents of other formats, and of none."""

ODD = [None, True, -1, 10**30, float("nan"), float("inf"), "", "word", [], [None], {}, {"a": 1}]
"""Values that hardly a field takes."""


def damaged(data: bytes, rng: random.Random, flips: int = 3) -> Iterator[tuple[str, bytes]]:
    """Contents that are no longer what they were, with words that say why."""
    yield "empty", b""
    for share in (0.01, 0.3, 0.7, 0.98):
        yield f"truncated at {share:.0%}", data[: int(share * len(data))]
    yield "without its beginning", data[len(data) // 5 :]
    yield "overwritten", rng.randbytes(len(data))
    for name, other in FOREIGN.items():
        yield f"a {name} file", other
    for i in range(flips):
        place = rng.randrange(len(data))
        yield f"changed at byte {place} ({i})", data[:place] + rng.randbytes(16) + data[place + 16 :]


def odd_values(value: Any, rng: random.Random, count: int) -> Iterator[tuple[str, Any]]:
    """Copies of plain values in one place of which stands something else, or nothing."""
    places = list(_places(value))
    for _ in range(count):
        path = rng.choice(places)
        changed = copy.deepcopy(value)
        owner = changed
        for key in path[:-1]:
            owner = owner[key]
        if rng.random() < 0.25:
            del owner[path[-1]]
            yield f"without {path}", changed
        else:
            owner[path[-1]] = rng.choice(ODD)
            yield f"{path} = {str(owner[path[-1]])[:20]}", changed


def _places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def no_files(path: Path) -> Iterator[str]:
    """Put something that is no file in the place of one, with words that say what."""
    yield "nothing at all"
    path.mkdir()
    yield "a folder"
    path.rmdir()
    path.symlink_to(path.with_name("nowhere"))
    yield "a dangling link"
    path.unlink()
    path.symlink_to(path)
    yield "a link to itself"
    path.unlink()
    os.mkfifo(path)
    yield "a pipe"
    path.unlink()
    if os.geteuid() != 0:  # who may read everything
        path.write_bytes(b"secret")
        path.chmod(0)
        yield "a file that may not be read"
        path.unlink()


class Judge:
    """Calls commands, and holds them to their word: a refusal is one line, an exit code of 1 or 2, and nothing else."""

    def __init__(self, capsys: Any, folder: Path):
        """Create the judge; all files below the folder are to stay as they are."""
        self._capsys, self._folder = capsys, folder
        self.count, self.faults = 0, []

    def __call__(self, what: str, call: Callable[[], Any], must_fail: bool = True) -> None:
        """Call once; ``must_fail`` says that success is a fault, too."""
        self.count += 1
        before = self._files()
        self._capsys.readouterr()
        code: Any = 0
        try:
            with one_line_errors():
                call()
        except SystemExit as exit_:
            code = exit_.code
        except BaseException as error:
            self.faults.append(f"{what}: {type(error).__name__}: {str(error)[:150]}")
            return
        said = self._capsys.readouterr().err
        if isinstance(code, str):
            code, said = 1, said + code
        lines = [line for line in said.splitlines() if line.strip()]
        refused = [line for line in lines if "error: " in line]
        if code not in (0, 1, 2) or "Traceback" in said or (code and (len(refused) != 1 or lines[-1] != refused[0])):
            self.faults.append(f"{what}: exit code {code} and {said[:200]!r}")
        elif must_fail and not code:
            self.faults.append(f"{what}: was taken for good")
        if self._files() != before:
            self.faults.append(f"{what}: files were changed")

    def close(self, at_least: int) -> None:
        """Fail with all faults that were found; also if there were fewer inputs than thought."""
        assert not self.faults, f"{len(self.faults)} of {self.count}:\n" + "\n".join(self.faults)
        assert self.count >= at_least, self.count

    def _files(self) -> dict[Path, Any]:
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for path in self._folder.rglob("*")
            if not path.is_symlink() and path.is_file()
        }


def try_bytes(judge: Judge, path: Path, call, rng: random.Random, flips: int = 3) -> None:
    """Call with each kind of damage in the place of a good file, and with what is no file; puts it back."""
    good = path.read_bytes()
    for what, content in damaged(good, rng, flips):
        path.write_bytes(content)
        may_pass = what.startswith(
            ("changed", "truncated") if path.suffix == ".yaml" else "changed"
        )  # it may end anywhere
        judge(f"{path.name} {what}", call, must_fail=not may_pass)
    path.unlink()
    for what in no_files(path):
        judge(f"{path.name} is {what}", call)
    path.write_bytes(good)
    judge("the good file", call, must_fail=False)
