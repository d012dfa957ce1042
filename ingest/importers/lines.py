"""Usage events as the proxy sends them: JSON lines, or one JSON array, plain or gzipped."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ingest.importers.reader import Found, readable
from ingest.listing import elements

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 1 << 16
# Windows' own tools begin a UTF-8 file with it.
BOM = b"\xef\xbb\xbf"


class Lines:
    """A file of events."""

    origin, program = "events", "the proxy"

    def __init__(self, file: Path) -> None:
        self._name = file.name
        self._file = unpacked(file)
        self._is_array = beginning(file).startswith(b"[")

    def count(self) -> int:
        """Tell how many lines or elements there are."""
        return sum(1 for _ in self._raw())

    def parts(self) -> list[Iterator[Found]]:
        """Give each event."""
        return [self._records()]

    def _records(self) -> Iterator[Found]:
        unit = "element" if self._is_array else "line"
        for number, raw in self._raw():
            yield Found(f"{unit} {number}", raw)

    def _raw(self) -> Iterator[tuple[int, bytes]]:
        """Give each event with its number in the file."""
        with readable(self._name):
            self._file.seek(0)
            if self._file.read(len(BOM)) != BOM:
                self._file.seek(0)
            if self._is_array:
                yield from enumerate(elements(self._file.read()), 1)
                return
            for number, line in enumerate(self._file, 1):
                if line.strip():
                    yield number, line.strip()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def unpacked(file: Path) -> BinaryIO:
    """Open a file, and unpack it while it is read where it is gzipped. Raises `Unreadable`."""
    with readable(file.name):
        with file.open("rb") as plain:
            is_packed = plain.read(2) == GZIP_MAGIC
        return gzip.open(file, "rb") if is_packed else file.open("rb")


def beginning(file: Path) -> bytes:
    """Give the first bytes that a file says something with. Raises `Unreadable`."""
    with readable(file.name), unpacked(file) as opened:
        return opened.read(BLOCK).removeprefix(BOM).lstrip()
