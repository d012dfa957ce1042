"""Read usage events as the proxy sends them: JSON lines, or one JSON array, plain or gzipped."""

import gzip
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from ingest.importers.reader import Record, reading
from ingest.parse import split_array

GZIP_MAGIC = b"\x1f\x8b"
START_SIZE = 1 << 16
# Windows' own tools begin a UTF-8 file with it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """A file of events."""

    origin, program = "events", "the proxy"

    def __init__(self, file: Path) -> None:
        self._name = file.name
        self._file = open_unpacked(file)
        self._is_array = start_of(file).startswith(b"[")

    def count(self) -> int:
        """Return the number of lines or elements."""
        return sum(1 for _ in self._numbered())

    def parts(self) -> list[Iterator[Record]]:
        """Return each event."""
        return [self._records()]

    def _records(self) -> Iterator[Record]:
        unit = "element" if self._is_array else "line"
        for number, raw in self._numbered():
            yield Record(f"{unit} {number}", raw)

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """Return each event with its number in the file."""
        with reading(self._name):
            self._file.seek(0)
            if self._file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                self._file.seek(0)
            if self._is_array:
                yield from enumerate(split_array(self._file.read()), 1)
                return
            for number, line in enumerate(self._file, 1):
                if line.strip():
                    yield number, line.strip()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_unpacked(file: Path) -> BufferedIOBase:
    """Open a file, and unpack it while reading if it is gzipped. Raises `Unreadable`."""
    with reading(file.name):
        with file.open("rb") as plain:
            is_packed = plain.read(2) == GZIP_MAGIC
        return gzip.open(file, "rb") if is_packed else file.open("rb")


def start_of(file: Path) -> bytes:
    """Return the first bytes of a file after white space. Raises `Unreadable`."""
    with reading(file.name), open_unpacked(file) as opened:
        return opened.read(START_SIZE).removeprefix(BYTE_ORDER_MARK).lstrip()
