# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Reading files that may be damaged, foreign or hostile: one line says what is wrong, before memory is taken.

Nothing here needs more than Python: a robot's computer reads packages with it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .check import InputError, require

TEXT = 2**28
"""Greatest size of a file of text [bytes]."""


@contextlib.contextmanager
def reading(path: str | Path, valid: str, remedy: str) -> Iterator[None]:
    """Turn whatever a reader makes of a malformed file into one InputError that names it.

    Libraries raise what they like over damaged files, which nobody lists. Only what reads and checks a file belongs
    within, so that no fault of ours is taken for one of the file's; ``--debug`` shows where it was found.

    Args:
        path: The file.
        valid: What it should hold.
        remedy: What to do.
    """
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read: {brief(error)}. Valid: {valid}. Remedy: {remedy}") from error


def brief(error: BaseException) -> str:
    """What an error says, in one line, and of which kind it is."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def is_file(path: str | Path) -> bool:
    """Whether this is a file, also where a name is none that a file can have, or links lead in a circle."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def require_file(path: str | Path, limit: int | None = None) -> None:
    """Raise unless this is a file, rather than a folder, a pipe or a device, and no larger than a limit [bytes].

    Raises:
        FileNotFoundError: There is nothing.
        InputError: It is something else, or too large.
    """
    path = Path(path)
    try:
        known = path.is_file()
        missing = not known and not path.exists()
        size = path.stat().st_size if known else 0
    except (OSError, ValueError) as error:  # a link to itself, a name that no file can have
        raise InputError(f"{str(path)!r} is not a file: {brief(error)}. Remedy: check the path.") from error
    if missing:
        raise FileNotFoundError(f"{str(path)!r} does not exist. Remedy: check the path.")
    require(known, "path", str(path), "a file, no folder, pipe or device", "check the path.")
    if limit is not None and size > limit:
        raise InputError(
            f"{path} has {size:,} bytes. Valid: up to {limit:,}. Remedy: check the path, it is something else."
        )


def read_text(path: str | Path, valid: str, remedy: str) -> str:
    """Text of a file of no more than :data:`TEXT` bytes, in UTF-8; see :func:`reading`."""
    require_file(path, TEXT)
    with reading(path, valid, remedy):
        return Path(path).read_text(encoding="utf-8")


def read_json(path: str | Path, valid: str, remedy: str, kind: type | None = dict) -> Any:
    """What a file of JSON holds, which is of a kind; see :func:`reading`."""
    text = read_text(path, valid, remedy)
    with reading(path, valid, remedy):
        value = json.loads(text)
    require_kind(value, kind, path, valid, remedy)
    return value


def require_kind(value: Any, kind: type | None, path: str | Path, valid: str, remedy: str) -> None:
    """Raise an InputError unless a file holds what it should."""
    if kind is not None and not isinstance(value, kind):
        raise InputError(f"{path} holds a {type(value).__name__}. Valid: {valid}. Remedy: {remedy}")


def require_memory(path: str | Path, size: float) -> None:
    """Raise an InputError if a file says that it holds more bytes than this machine has memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise InputError(
            f"{path} says that it holds {size / 2**30:,.1f} GiB; this machine's memory has {memory / 2**30:,.1f}. "
            "Remedy: the file is damaged or made to fill memory; get it again, or use a larger machine."
        )


def require_space(path: str | Path, size: int) -> None:
    """Raise an OSError, as the system would, if there is no room for so many bytes where a file is to be.

    For files that a write which stops half-way would spoil as a whole.
    """
    folder = next(each for each in Path(path).absolute().parents if each.exists())
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def append(path: Path, text: str) -> None:
    """Add text to a file, whole or not at all, and let it reach the disk."""
    with path.open("ab") as file:
        size = file.tell()
        try:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise


def require_plain_archive(path: str | Path) -> None:
    """Raise an InputError if a zip archive would unpack to more than this machine's memory."""
    with zipfile.ZipFile(path) as archive:
        require_memory(path, sum(entry.file_size for entry in archive.infolist()))


def expanded_size(value: Any, known: dict[int, int] | None = None) -> int:
    """Number of values within plain values, in which YAML's aliases may repeat one many times."""
    known = {} if known is None else known
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 2**62  # of what holds itself
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(expanded_size(item, known) for item in items)
    return known[id(value)]
