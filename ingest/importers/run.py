"""Bring a file in, some thousands of events in a transaction, beside whatever else is going on.

Going over a file again finds every event there already, so an import that was interrupted is taken
up by starting it again. Claims (`ingest.matching`) keep two attempts of one millisecond apart.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from ingest import matching
from ingest.events import Events, Kept
from ingest.importers.differences import Differences
from ingest.importers.reader import Found, Reader
from ingest.parse import Rejected, Usage, parse
from ingest.rows import Rows
from ingest.store import UNKEPT
from ledger import Unavailable, retention, transaction

AT_ONCE = 4000
WAITS = (1.0, 2.0, 4.0, 8.0)
BEGIN = """
  insert into imports (origin, file, proxy_id, started_at)
  values (:origin, :file, :proxy_id, :started_at)
"""
COUNT = """
  update imports set
    received = received + :received,
    stored = stored + :stored,
    duplicate = duplicate + :duplicate,
    improved = improved + :improved,
    rejected = rejected + :rejected,
    first_at = min(coalesce(first_at, :first_at), coalesce(:first_at, first_at)),
    last_at = max(coalesce(last_at, :last_at), coalesce(:last_at, last_at))
  where id = :id
"""
FINISH = "update imports set finished_at = max(started_at, ?) where id = ?"
Told = Callable[[int], None]


class Import(NamedTuple):
    """One run over a file: its row in the ledger, and where its events go."""

    id: int
    conn: sqlite3.Connection
    rows: Rows
    events: Events


class Outcome(NamedTuple):
    """What became of the records of a file."""

    kept: Kept
    rejected: int
    differences: Differences


def begin(conn: sqlite3.Connection, reader: Reader, row: dict[str, object]) -> int:
    """Put a run on record; gives its id."""
    with transaction(conn):
        return conn.execute(BEGIN, {"origin": reader.origin, **row}).lastrowid or 0


def bring_in(job: Import, reader: Reader, *, told: Told) -> Outcome:
    """Store the events of a file; `told` is called with how many records are done.

    Raises `Unavailable`, or `Unreadable` where the file ends too early; what came before is in.
    """
    differences = Differences()
    kept, rejected, done = Kept(0, 0, 0), 0, 0
    for part in reader.parts():
        matching.begin(job.conn)
        for some in chunks(part):
            usages, refused = understood(some, differences, retention.complete_from(job.conn))
            new = patiently(job, usages, refused)
            kept = Kept(*(a + b for a, b in zip(kept, new, strict=True)))
            rejected += refused
            done += len(some)
            told(done)
    return Outcome(kept, rejected, differences)


def finish(job: Import, at: int) -> None:
    """Note that a file was gone over to its end."""
    with transaction(job.conn):
        job.conn.execute(FINISH, (at, job.id))


def chunks(records: Iterator[Found]) -> Iterator[list[Found]]:
    """Cut records into lists of some thousands."""
    while some := list(islice(records, AT_ONCE)):
        yield some


def understood(
    some: list[Found], differences: Differences, kept_from: int
) -> tuple[list[Usage], int]:
    """Give the events among records, and how many are none or are too old to be kept."""
    usages: list[Usage] = []
    for found in some:
        record = parse(found.raw)
        if isinstance(record, Rejected):
            differences.refuse(record.reason, found.place)
        elif record.occurred_at < kept_from:
            differences.refuse(UNKEPT, found.place)
        else:
            differences.compare(record, found.place)
            usages.append(record)
    return usages, len(some) - len(usages)


def patiently(job: Import, usages: list[Usage], rejected: int) -> Kept:
    """Store some events, waiting for a while where the ledger is locked or its disk full.

    Raises `Unavailable` when that lasts.
    """
    for wait in WAITS:
        try:
            return keep(job, usages, rejected)
        except Unavailable:
            time.sleep(wait)
    return keep(job, usages, rejected)


def keep(job: Import, usages: list[Usage], rejected: int) -> Kept:
    """Store some events with their counts in one transaction."""
    times = [usage.occurred_at for usage in usages]
    try:
        with transaction(job.conn):
            kept = job.events.keep(usages)
            counts = {**kept._asdict(), "rejected": rejected, "received": len(usages) + rejected}
            span = {"first_at": min(times, default=None), "last_at": max(times, default=None)}
            job.conn.execute(COUNT, {"id": job.id, **counts, **span})
            return kept
    except BaseException:
        job.rows.forget()
        raise
