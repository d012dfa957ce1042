"""Who works on a data folder: a lock file each, held for as long as a process lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Readers, of which there may be several, share theirs.
WORKERS = ("ingest", "quota", "alerts", "web", "import")


class Held(Exception):
    """A process holds a lock; the text says which."""

    def __init__(self, name: str, process: str, folder: Path) -> None:
        super().__init__(f"{name} (process {process}) is running on {folder}")
        self.process = process


def lock(folder: Path, name: str, *, shared: bool = False) -> int:
    """Take a lock file; gives its descriptor. Raises `Held` when another process has it."""
    descriptor = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(descriptor, 20, 0).decode() or "unknown"
        os.close(descriptor)
        raise Held(name, other, folder) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


@contextmanager
def waiting_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock file for a while, after waiting for whoever has it."""
    descriptor = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep every worker away from a folder. Raises `Held` while one is running."""
    taken: list[int] = []
    try:
        for name in WORKERS:
            taken.append(lock(folder, name))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)


def holders(folder: Path) -> list[tuple[str, str]]:
    """Give each worker at work on a folder, with its process."""
    found = []
    for name in WORKERS:
        if (folder / f"{name}.lock").exists():
            try:
                os.close(lock(folder, name))
            except Held as held:
                found.append((name, held.process))
    return found
