"""Ledgers with the reference workload: built once, reused while nothing has changed."""

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from bench.report import progress
from bench.workload import Workload, history
from ingest.parse import parse
from ingest.proxies import ProxyRow
from ingest.spool import Batch
from ingest.store import Store
from ledger import connect
from ledger.data_folder import prepare
from ledger.database import FILE_NAME
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from ledger.settings import ROOT
from runtime import proxies
from runtime.heartbeat import now

T = TypeVar("T")
PROXY = "127.0.0.1:8317"
ZONE = "Europe/Berlin"
BATCH = 2_000
# Only for building: after a power loss the ledger is built again.
UNSAFE = """
  pragma synchronous = off;
  pragma wal_autocheckpoint = 20000;
  pragma cache_size = -65536;
"""
BUILT = "built.json"
# An older ledger has no events in the short windows.
OLDEST_SECONDS = 12 * 3600
SOURCES = ("ledger/**/*.sql", "bench/workload.py")


class Built(msgspec.Struct):
    """The parameters of a ledger that was built, written when the ledger is complete."""

    events: int
    ends_at: float
    digest: str
    seconds: float


class Feed:
    """A ledger open for writing, through the collector's own parse and store code."""

    def __init__(self, folder: Path, *, unsafe: bool) -> None:
        self.conn = prepare(folder, timezone=ZONE)
        if unsafe:
            self.conn.executescript(UNSAFE)
        row = self.conn.execute("select name from proxies order by id limit 1").fetchone()
        self.proxy_id = proxies.find(self.conn, row[0] if row else PROXY)
        self.salt = load_salt(folder)
        self._store = Store(self.conn, self.proxy_id, self.salt, Prices({}))
        self._number = ProxyRow(self.conn, self.proxy_id).last_batch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.conn.execute("pragma wal_checkpoint(truncate)")
        self.conn.close()

    def store(self, records: list[bytes]) -> int:
        """Store one batch; return how many of its events are new."""
        self._number += 1
        batch = Batch(self._number, "resp", now(), records)
        return self._store.write(batch, map(parse, records)).stored

    def store_all(self, workload: Workload, moments: Iterable[float]) -> Iterator[int]:
        """Generate and store an event for each moment; yield the size of each batch."""
        for batch in batches(moments, BATCH):
            yield self.store(workload.payloads(batch))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


@contextmanager
def ledgers(folder: Path, sizes: Iterable[int], *, keep: bool) -> Iterator[dict[int, Path]]:
    """Build a ledger of each size; delete them afterwards unless `keep`."""
    sizes = list(sizes)
    try:
        yield {size: ensure_ledger(folder, size, reuse=keep) for size in sizes}
    finally:
        if not keep:
            for size in sizes:
                shutil.rmtree(folder / str(size), ignore_errors=True)


def ensure_ledger(folder: Path, events: int, *, reuse: bool) -> Path:
    """Return a folder whose ledger holds `events` events that end about now."""
    home = folder / str(events)
    if reuse and is_fresh(home):
        return home
    shutil.rmtree(home, ignore_errors=True)
    started_at = time.time()
    build(home, events)
    built = Built(events, started_at, digest(), time.time() - started_at)
    file = home / BUILT
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(built))
    return home


def build(home: Path, events: int) -> None:
    """Store the events of the workload, oldest first."""
    moments = history(events, time.time())
    with Feed(home, unsafe=True) as feed, progress(f"ledger, {events:,} events", events) as bar:
        for stored in feed.store_all(Workload(), moments):
            bar.update(stored)


def is_fresh(home: Path) -> bool:
    """Return whether a complete, recent ledger of the same workload and schema is there."""
    try:
        built = msgspec.json.decode((home / BUILT).read_bytes(), type=Built)
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return built.digest == digest() and time.time() - built.ends_at < OLDEST_SECONDS


def digest() -> str:
    """Return a hash of the source files that a ledger's content depends on."""
    files = sorted(file for pattern in SOURCES for file in ROOT.glob(pattern))
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content + ZONE.encode() + str(BATCH).encode()).hexdigest()


@contextmanager
def copied(home: Path, *, proxy: str | None = None) -> Iterator[Path]:
    """Copy a ledger until the end of the block; `proxy` is the new address of its proxy."""
    copy = home.with_name(f"{home.name}-copy-{os.getpid()}")
    shutil.copytree(home, copy)
    try:
        if proxy:
            with closing(connect(copy / FILE_NAME)) as conn:
                conn.execute("update proxies set name = ?", (proxy,))
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def open_read_only(home: Path) -> sqlite3.Connection:
    """Open a ledger for reading, as the dashboard does."""
    return sqlite3.connect(
        f"file:{home / FILE_NAME}?mode=ro", uri=True, isolation_level=None, timeout=9
    )
