"""The spool: what was popped but is not yet committed, in one private file.

A pop is destructive, so its raw payloads are safe here before anything is understood. The file
holds one batch at most: a digest of the rest, its size, a JSON line (number, source, popped_at,
sizes), then the payloads; zeros behind it are room that is reserved before anything is popped.
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
LEAST_ROOM, MOST_ROOM = 2 << 20, 64 << 20


class Batch(NamedTuple):
    """Records popped together. `number` grows by one each; `popped_at` is ms, UTC."""

    number: int
    source: str
    popped_at: int
    records: list[bytes]


class Head(msgspec.Struct):
    """The spool's first line."""

    number: int
    source: str
    popped_at: int
    sizes: list[int]


def file_of(folder: Path, proxy_id: int) -> Path:
    """Give the spool file of a proxy, by its number in the ledger."""
    return folder / f"ingest-{proxy_id}.spool"


class Spool:
    """The spool file of one proxy."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._room = LEAST_ROOM
        self._is_reserved = self._is_empty = False

    def reserve(self) -> None:
        """Make sure of room for the next batch; raises `Unwritable` when there is none."""
        if self._is_reserved:
            return
        try:
            allocate(self._descriptor, self._room)
        except OSError as error:
            raise Unwritable(
                f"the spool cannot be written, so nothing is popped: {error.strerror}"
            ) from error
        self._is_reserved = True

    def put(self, batch: Batch) -> None:
        """Make a batch safe from our own death, in one write.

        Raises `Unwritable`; what is in the file then tells the next run that a batch was torn.
        """
        content = encoded(batch)
        self._is_empty = False
        self._room = min(max(self._room, 2 * len(content)), MOST_ROOM)
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
        """Give the batch in the spool, if any, and whether a torn one was found instead."""
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        batch = decoded(content)
        return batch, bool(content.strip(b"\0")) and batch is None

    def close(self) -> None:
        """Close the file, and give back the room in it when it holds nothing."""
        if self._is_empty:
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def allocate(descriptor: int, size: int) -> None:
    """Make the disk keep room for a file's first bytes."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.pwrite(descriptor, bytes(size), 0)


def encoded(batch: Batch) -> bytes:
    """Give a batch as the spool's content."""
    sizes = [len(record) for record in batch.records]
    head = msgspec.json.encode(Head(batch.number, batch.source, batch.popped_at, sizes))
    parts = [b"%d " % (len(head) + 1 + sum(sizes)), head, b"\n", *batch.records]
    return b"".join([digest(parts), b" ", *parts])


def decoded(content: bytes) -> Batch | None:
    """Give the spool's batch, or None when it is empty or torn."""
    given, _, rest = content.partition(b" ")
    size, _, rest = rest.partition(b" ")
    rest = rest[: int(size)] if SIZE.fullmatch(size) else b""
    if given != digest([size, b" ", rest]) or len(rest) != int(size):
        return None
    line, _, body = rest.partition(b"\n")
    head = msgspec.json.decode(line, type=Head)
    ends = list(accumulate(head.sizes, initial=0))
    records = [body[start:end] for start, end in pairwise(ends)]
    return Batch(head.number, head.source, head.popped_at, records)


def digest(parts: list[bytes]) -> bytes:
    """Give the checksum that tells a whole batch from a torn one."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest().encode()
