# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Leases, by which one process at a time works in a folder, on whichever machine that shares the file system.

A lease is a file beside the folder that its owner touches every few seconds. It ends with its owner: at once where the
owner's process is seen to be gone, and elsewhere when nobody has touched the file for :data:`DURATION`. Nothing is
asked of the file system but that creating and renaming files is atomic; flock holds between nodes of a cluster only
where Lustre, BeeGFS or NFS were set up to carry it. The work is done by :class:`filelock.SoftFileLease`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import SoftFileLease, Timeout

DURATION = 60.0
"""Seconds without a sign of life after which an owner on another machine counts as gone; the same everywhere."""

HEARTBEAT = 5.0
"""Seconds between signs of life."""


def lease_path(folder: Path) -> Path:
    """File of the lease on a folder."""
    return folder.with_name(f"{folder.name}.lease")


@contextlib.contextmanager
def claimed(folder: Path, lost: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold a folder; yields whether nobody else does.

    Args:
        folder: What to hold; it is made.
        lost: Called, in another thread, if others took the folder because this process gave no sign of life, as when
            its machine was suspended: what works in the folder must end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(
        lease_path(folder), lease_duration=DURATION, heartbeat_interval=HEARTBEAT, on_compromise=lambda _: lost()
    )
    if not _acquired(lease):
        yield False
        return
    try:
        yield True
    finally:
        lease.release()


def is_held(folder: Path) -> bool:
    """Whether somebody works in a folder, as far as a look at it tells."""
    path = lease_path(folder)
    owner = SoftFileLease(path).owner
    if owner is None:
        return False
    try:
        if _is_here(owner.hostname):
            os.kill(owner.pid, 0)
        return time.time() - path.stat().st_mtime < DURATION
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        return True  # a process of somebody else


def owner_of(folder: Path) -> str:
    """Who works in a folder, for messages."""
    owner = SoftFileLease(lease_path(folder)).owner
    return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "another process"


def _acquired(lease: SoftFileLease) -> bool:
    """Take a lease that nobody holds; an owner on another machine is watched until it shows life or is gone."""
    path, seen = Path(lease.lock_file), None
    while True:
        with contextlib.suppress(Timeout):
            lease.acquire(timeout=0)
            return True
        owner = lease.owner
        if owner is not None and _is_here(owner.hostname):
            return False  # and lives, or the lease would have been taken from it
        with contextlib.suppress(FileNotFoundError):
            now = path.stat().st_mtime_ns
            if seen not in (None, now):
                return False
            seen = now
        time.sleep(0.4 * HEARTBEAT)


def _is_here(hostname: str) -> bool:
    """Whether an owner's process can be seen from here; filelock names the namespace of its number after the host."""
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return hostname in (socket.gethostname(), f"{socket.gethostname()}?pidns-{namespace:x}")
