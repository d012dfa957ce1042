"""The spool: what was popped but is not yet committed, in one private file.

A pop is destructive, so its raw payloads are safe here before anything is understood. The file
holds one batch at most: a digest of the rest, a JSON line (number, source, popped_at, sizes), then
the payloads.
"""

import hashlib
import os
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger import Unavailable


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


class Spool:
    """The spool file of one proxy."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        os.fchmod(self._descriptor, 0o600)

    def put(self, batch: Batch) -> None:
        """Make a batch safe from our own death, in one write.

        Raises `Unavailable`; what is in the file then tells the next run that a batch was torn.
        """
        content = encoded(batch)
        try:
            self.clear()
            written = os.pwrite(self._descriptor, content, 0)
        except OSError as error:
            raise Unavailable(f"the spool cannot be written: {error.strerror}") from error
        if written < len(content):
            raise Unavailable("the spool cannot be written: the disk is full")

    def clear(self) -> None:
        """Empty the spool."""
        os.ftruncate(self._descriptor, 0)

    def read(self) -> tuple[Batch | None, bool]:
        """Give the batch in the spool, if any, and whether a torn one was found instead."""
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        batch = decoded(content)
        return batch, bool(content) and batch is None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def encoded(batch: Batch) -> bytes:
    """Give a batch as the spool's content."""
    sizes = [len(record) for record in batch.records]
    head = msgspec.json.encode(Head(batch.number, batch.source, batch.popped_at, sizes))
    content = b"\n".join([head, b"".join(batch.records)])
    return b" ".join([digest(content), content])


def decoded(content: bytes) -> Batch | None:
    """Give the spool's batch, or None when it is empty or torn."""
    given, _, content = content.partition(b" ")
    if given != digest(content):
        return None
    line, _, body = content.partition(b"\n")
    head = msgspec.json.decode(line, type=Head)
    ends = list(accumulate(head.sizes, initial=0))
    records = [body[start:end] for start, end in pairwise(ends)]
    return Batch(head.number, head.source, head.popped_at, records)


def digest(content: bytes) -> bytes:
    """Give the checksum that tells a whole batch from a torn one."""
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
