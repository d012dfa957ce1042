"""Notice that the ledger file was deleted or replaced while a connection has it open.

SQLite goes on in a file that has lost its name, and every commit would be gone at the end.
"""

from pathlib import Path

from ledger.errors import Unwritable


class Replaced(Exception):
    """Another file lies in the place of the one that is open: everything must be opened anew."""


class Presence:
    """The ledger file as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = identity(path)

    def check(self) -> None:
        """Raise `Unwritable` while the file is gone, `Replaced` when another one is there."""
        try:
            found = identity(self._path)
        except FileNotFoundError:
            raise Unwritable(
                "the ledger file was deleted while in use: put it back, or stop and start again "
                "to begin a new ledger"
            ) from None
        except OSError as error:
            raise Unwritable(f"the ledger file cannot be reached: {error.strerror}") from error
        if found != self._opened:
            raise Replaced


def identity(path: Path) -> tuple[int, int]:
    """Give what a file is known by, whatever its name."""
    found = path.stat()
    return found.st_dev, found.st_ino
