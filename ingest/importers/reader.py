"""What a file of another program is read as: events in the proxy's own words, one by one."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol


class Unreadable(Exception):
    """A file cannot be read as what it seems to be; the text is a sentence."""


class Found(NamedTuple):
    """One record: where it stands in the file, and its event as JSON."""

    place: str
    raw: bytes


class Reader(Protocol):
    """A file that is open. Its records raise `Unreadable` where the file ends too early."""

    @property
    def origin(self) -> str:
        """The name of its kind in the ledger, as in `imports.origin`."""

    @property
    def program(self) -> str:
        """What wrote the file, for people."""

    def count(self) -> int:
        """Tell how many records there are."""

    def parts(self) -> list[Iterator[Found]]:
        """Give every record; no part has an attempt twice, though two parts may have the same."""

    def close(self) -> None:
        """Let go of the file."""


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what is wrong with a file into `Unreadable`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unreadable(
            f"{name} is damaged or busy: {error}. `sqlite3 FILE .recover` may save what it holds."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{name} cannot be read: {error}.") from error
