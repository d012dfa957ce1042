"""The spool: one private file for each proxy, with the batch that is popped but not yet committed.

A pop is destructive, so the raw records are written here before they are parsed. The file holds at
most one batch: a digest of all that follows, the size, a JSON line (number, source, popped_at,
sizes), then the records. Zeros after the batch are disk space that is reserved before a pop.
"""

import hashlib
import os
import re
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger import Unwritable

SIZE = re.compile(rb"\d{1,12}")
MIN_RESERVED_BYTES, MAX_RESERVED_BYTES = 2 << 20, 64 << 20


class Batch(NamedTuple):
    """Records popped together. Each `number` is one above the last; `popped_at` is ms, UTC."""

    number: int
    source: str
    popped_at: int
    records: list[bytes]


class Header(msgspec.Struct):
    """The JSON line of the spool."""

    number: int
    source: str
    popped_at: int
    sizes: list[int]


def spool_file(folder: Path, proxy_id: int) -> Path:
    """Return the path of a proxy's spool."""
    return folder / f"ingest-{proxy_id}.spool"


class Spool:
    """The spool of one proxy."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._room = MIN_RESERVED_BYTES
        self._is_reserved = self._is_empty = False

    def reserve(self) -> None:
        """Reserve disk space for the next batch. Raises `Unwritable` when there is too little."""
        if self._is_reserved:
            return
        try:
            allocate(self._descriptor, self._room)
        except OSError as error:
            raise Unwritable(
                f"the spool cannot be written, so nothing is popped: {error.strerror}"
            ) from error
        self._is_reserved = True

    def write(self, batch: Batch) -> None:
        """Write a batch in one system call, so that it survives the end of this process.

        Raises `Unwritable`; from the part that was written the next run sees that a batch was torn.
        """
        content = encode(batch)
        self._is_empty = False
        self._room = min(max(self._room, 2 * len(content)), MAX_RESERVED_BYTES)
        try:
            written = os.pwrite(self._descriptor, content, 0)
        except OSError as error:
            raise Unwritable(f"the spool cannot be written: {error.strerror}") from error
        if written < len(content):
            raise Unwritable("the spool cannot be written: the disk is full")

    def clear(self) -> None:
        """Empty the spool."""
        os.ftruncate(self._descriptor, 0)
        self._is_reserved, self._is_empty = False, True

    def read(self) -> tuple[Batch | None, bool]:
        """Return the batch in the spool, or None and whether a torn batch is there."""
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        batch = decode(content)
        return batch, bool(content.strip(b"\0")) and batch is None

    def close(self) -> None:
        """Close the file, and release the reserved space when it holds no batch."""
        if self._is_empty:
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def allocate(descriptor: int, size: int) -> None:
    """Allocate disk blocks for the first `size` bytes of a file."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.pwrite(descriptor, bytes(size), 0)


def encode(batch: Batch) -> bytes:
    """Return the content of a spool that holds a batch."""
    sizes = [len(record) for record in batch.records]
    header = msgspec.json.encode(Header(batch.number, batch.source, batch.popped_at, sizes))
    parts = [b"%d " % (len(header) + 1 + sum(sizes)), header, b"\n", *batch.records]
    return b"".join([digest(parts), b" ", *parts])


def decode(content: bytes) -> Batch | None:
    """Return the batch in a spool's content; None when it is empty or torn."""
    expected, _, rest = content.partition(b" ")
    size, _, rest = rest.partition(b" ")
    rest = rest[: int(size)] if SIZE.fullmatch(size) else b""
    if expected != digest([size, b" ", rest]) or len(rest) != int(size):
        return None
    line, _, body = rest.partition(b"\n")
    header = msgspec.json.decode(line, type=Header)
    bounds = accumulate(header.sizes, initial=0)
    records = [body[start:end] for start, end in pairwise(bounds)]
    return Batch(header.number, header.source, header.popped_at, records)


def digest(parts: list[bytes]) -> bytes:
    """Return the checksum of a batch's content."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest().encode()
