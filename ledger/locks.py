"""Lock files of a data folder: one worker of a kind, and no worker during a restore.

A lock is released when its process ends, in any way. The lock is `flock` on the open file; the
content of the file is the process id, for messages.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Several dashboards may run at once: they share their lock.
WORKERS = ("ingest", "quota", "alerts", "web", "import")


class LockHeld(SystemExit):
    """Another process holds a lock; the text is a sentence with its process id."""

    def __init__(self, name: str, process: str, folder: Path) -> None:
        super().__init__(f"{name} (process {process}) is already running on {folder}.")
        self.process = process


def hold(folder: Path, name: str, *, shared: bool = False) -> int:
    """Lock until this process ends; returns the file descriptor.

    Raises `LockHeld` when another process holds it.
    """
    descriptor = open_lock(folder, name)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        process = os.pread(descriptor, 20, 0).decode() or "unknown"
        os.close(descriptor)
        raise LockHeld(name, process, folder) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def open_lock(folder: Path, name: str) -> int:
    """Open a lock file, readable by its owner alone; returns the file descriptor."""
    return os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)


@contextmanager
def waiting_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock inside the block, after waiting until it is free."""
    descriptor = open_lock(folder, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of every worker inside the block. Raises `LockHeld` while one is running."""
    held: list[int] = []
    try:
        for name in WORKERS:
            held.append(hold(folder, name))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def holders(folder: Path) -> list[tuple[str, str]]:
    """Return the name and the process id of each worker that is running on a folder."""
    running = []
    for name in WORKERS:
        if (folder / f"{name}.lock").exists():
            try:
                os.close(hold(folder, name))
            except LockHeld as error:
                running.append((name, error.process))
    return running
