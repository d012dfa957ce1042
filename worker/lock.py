"""One worker of a kind for each data folder."""

import fcntl
import os
from pathlib import Path


def hold(folder: Path, name: str) -> int:
    """Take the lock file of a worker; it is held until the process ends, however it ends.

    Returns the file descriptor. Raises `SystemExit` with a sentence when another process holds it.
    """
    descriptor = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(descriptor, 20, 0).decode() or "unknown"
        raise SystemExit(
            f"Another {name} worker (process {other}) is already running on {folder}."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
