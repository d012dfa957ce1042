"""One worker of a kind for each data folder."""

from pathlib import Path

from ledger import locks


class Held(SystemExit):
    """Another process holds the lock; the text says which."""


def hold(folder: Path, name: str, *, shared: bool = False) -> int:
    """Take the lock file of a worker; it is held until the process ends, however it ends.

    Returns the file descriptor. Raises `Held` with a sentence when another process holds it.
    """
    try:
        return locks.lock(folder, name, shared=shared)
    except locks.Held as error:
        raise Held(
            f"Another {name} worker (process {error.process}) is already running on {folder}."
        ) from None
