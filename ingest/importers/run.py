"""Import a file, some thousands of events in a transaction, while other processes continue.

Reading a file again finds each of its events in the ledger, so an interrupted import is continued
by starting it again. `ingest.matching` distinguishes two attempts of one millisecond.
"""

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from ingest.dimensions import Dimensions
from ingest.importers.reader import Reader, Record
from ingest.matching import start_matching
from ingest.parse import Rejected, Usage, parse
from ingest.store import TOO_OLD, EventCounts, EventWriter
from ledger import Unavailable, retention, transaction

CHUNK = 4000
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)
PLACES_SHOWN = 3
MAX_DIFFERENCES = 1000
ADD_IMPORT = """
  insert into imports (origin, file, proxy_id, started_at)
  values (:origin, :file, :proxy_id, :started_at)
"""
ADD_COUNTS = """
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


class Import(NamedTuple):
    """One import: its id in the ledger, and the writers of its events."""

    id: int
    conn: sqlite3.Connection
    dimensions: Dimensions
    events: EventWriter


class Difference(NamedTuple):
    """An event whose total differs between the file and the ledger."""

    place: str
    in_file: int
    in_ledger: int
    reason: str


class Findings:
    """The rejected records of a file, and the events whose total differs in the ledger."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.places: dict[str, list[str]] = defaultdict(list)
        self.tokens_in_file = self.tokens_in_ledger = 0
        self.difference_count = 0
        self.differences: list[Difference] = []

    def reject(self, reason: str, place: str) -> None:
        """Count a rejected record, and note the first places."""
        self.rejected[reason] += 1
        if len(self.places[reason]) < PLACES_SHOWN:
            self.places[reason].append(place)

    def compare(self, usage: Usage, place: str) -> None:
        """Compare an event's reported total with ours, and note the first differences."""
        in_file, in_ledger = usage.payload.tokens.total_tokens, usage.tokens.total
        self.tokens_in_file += in_file
        self.tokens_in_ledger += in_ledger
        if in_file != in_ledger:
            self.difference_count += 1
            if len(self.differences) < MAX_DIFFERENCES:
                reason = difference_reason(usage)
                self.differences.append(Difference(place, in_file, in_ledger, reason))


class Outcome(NamedTuple):
    """The result of an import."""

    counts: EventCounts
    findings: Findings


def begin(conn: sqlite3.Connection, reader: Reader, row: dict[str, object]) -> int:
    """Add the row of an import; return its id."""
    with transaction(conn):
        return conn.execute(ADD_IMPORT, {"origin": reader.origin, **row}).lastrowid or 0


def run(job: Import, reader: Reader, *, on_progress: Callable[[int], None]) -> Outcome:
    """Write the events of a file; `on_progress` is called with the number of records done.

    Raises `Unavailable`, or `Unreadable` where the file is damaged; the events before that place
    """
    findings = Findings()
    counts, done = EventCounts(0, 0, 0), 0
    for part in reader.parts():
        start_matching(job.conn)
        for chunk in chunks(part):
            usages = valid_usages(chunk, findings, oldest=retention.complete_from(job.conn))
            new = write_with_retries(job, usages, rejected=len(chunk) - len(usages))
            counts = EventCounts(*(a + b for a, b in zip(counts, new, strict=True)))
            done += len(chunk)
            on_progress(done)
    return Outcome(counts, findings)


def finish(job: Import, finished_at: int) -> None:
    """Note that a file was imported to its end."""
    with transaction(job.conn):
        job.conn.execute(FINISH, (finished_at, job.id))


def chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Return the records in lists of some thousands."""
    while chunk := list(islice(records, CHUNK)):
        yield chunk


def valid_usages(chunk: list[Record], findings: Findings, *, oldest: int) -> list[Usage]:
    """Return the events among records that are valid and recent enough to be kept."""
    usages: list[Usage] = []
    for record in chunk:
        parsed = parse(record.raw)
        if isinstance(parsed, Rejected):
            findings.reject(parsed.reason, record.place)
        elif parsed.occurred_at < oldest:
            findings.reject(TOO_OLD, record.place)
        else:
            findings.compare(parsed, record.place)
            usages.append(parsed)
    return usages


def write_with_retries(job: Import, usages: list[Usage], *, rejected: int) -> EventCounts:
    """Write events; retry for a while when the ledger is locked or its disk is full.

    Raises `Unavailable` when every retry fails.
    """
    for seconds in RETRY_SECONDS:
        try:
            return write(job, usages, rejected=rejected)
        except Unavailable:
            time.sleep(seconds)
    return write(job, usages, rejected=rejected)


def write(job: Import, usages: list[Usage], *, rejected: int) -> EventCounts:
    """Write events and their counts in one transaction."""
    times = [usage.occurred_at for usage in usages]
    with job.dimensions.transaction():
        counts = job.events.write(usages)
        values = {
            "id": job.id,
            "received": len(usages) + rejected,
            "rejected": rejected,
            "first_at": min(times, default=None),
            "last_at": max(times, default=None),
            **counts._asdict(),
        }
        job.conn.execute(ADD_COUNTS, values)
        return counts


def difference_reason(usage: Usage) -> str:
    """Return why our total of an event differs from the total that it reports."""
    tokens, in_file = usage.tokens, usage.payload.tokens.total_tokens
    if in_file == 0:
        return "the record has no total"
    if tokens.unclassified == tokens.total:
        return "its counts contradict each other"
    if tokens.total - in_file == tokens.cached + tokens.cache_write:
        return "its total excludes cached tokens"
    if in_file - tokens.total == tokens.reasoning:
        return "its total counts reasoning twice"
    return "its total is not the sum of its parts"
