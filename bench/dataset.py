"""Ledgers with the reference workload: built once, used again when nothing changed."""

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from bench.bars import counting
from bench.feed import BATCH, ZONE, Feed
from bench.workload import Workload, history
from ledger import connect
from ledger.file import NAME
from ledger.settings import ROOT

MARK = "built.json"
# Older ones have no event in the short windows.
OLDEST_SECONDS = 12 * 3600
SOURCES = ("ledger/**/*.sql", "bench/shapes.py", "bench/workload.py")


class Built(msgspec.Struct):
    """What a ledger was built from; written when it is whole."""

    events: int
    ends_at: float
    digest: str
    seconds: float


def dataset(folder: Path, events: int, *, keep: bool) -> Path:
    """Give a folder whose ledger holds `events` events that end about now."""
    home = folder / str(events)
    if keep and is_fresh(home):
        return home
    shutil.rmtree(home, ignore_errors=True)
    begun = time.time()
    build(home, events)
    built = Built(events, begun, digest(), time.time() - begun)
    mark = home / MARK
    mark.touch(mode=0o600)
    mark.write_bytes(msgspec.json.encode(built))
    return home


def build(home: Path, events: int) -> None:
    """Store the workload's events, oldest first."""
    moments = history(events, time.time())
    with Feed(home, hasty=True) as feed, counting("a ledger of its size", events) as bar:
        for stored in feed.keep_all(Workload(), moments):
            bar.update(stored)


def is_fresh(home: Path) -> bool:
    """Tell whether a whole ledger of the same making is there, and not old."""
    try:
        built = msgspec.json.decode((home / MARK).read_bytes(), type=Built)
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return built.digest == digest() and time.time() - built.ends_at < OLDEST_SECONDS


def digest() -> str:
    """Give a hash of what decides the content of a ledger."""
    files = sorted(file for pattern in SOURCES for file in ROOT.glob(pattern))
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content + ZONE.encode() + str(BATCH).encode()).hexdigest()


@contextmanager
def copied(home: Path, *, proxy: str | None = None) -> Iterator[Path]:
    """Give a copy to write to, gone afterwards; `proxy` is where its proxy is found now."""
    copy = home.with_name(f"{home.name}-copy-{os.getpid()}")
    shutil.copytree(home, copy)
    try:
        if proxy:
            with closing(connect(copy / NAME)) as conn:
                conn.execute("update proxies set name = ?", (proxy,))
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def read_only(home: Path) -> sqlite3.Connection:
    """Open a ledger for reading, as the dashboard does."""
    return sqlite3.connect(f"file:{home / NAME}?mode=ro", uri=True, isolation_level=None, timeout=9)
