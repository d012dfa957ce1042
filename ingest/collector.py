"""Collect the events of one proxy: pop → spool → parse → store."""

import contextlib
import logging
import time
from typing import NamedTuple

from ingest.idle import Retention, StatusPoll
from ingest.parse import parse
from ingest.proxies import ProxyRow
from ingest.source import PopInterrupted, Source
from ingest.spool import Batch, Spool
from ingest.store import Store
from ledger import Unavailable, Unwritable
from ledger.database import FileIdentity, Wal
from runtime.heartbeat import now
from runtime.refusals import Refusals, Refused

log = logging.getLogger(__name__)

POP_NOTE_SECONDS = 5.0
# A full pop shows that events wait in the queue: the next pops may be larger. Larger pops cost less
# for each event, since the events of one transaction share rollup rows, but lose more events when
# the connection fails.
DEFAULT_POP_SIZE = 500
# A reply above this size makes the next pops smaller, which limits the memory in use.
LARGE_REPLY_BYTES = 16 << 20
# The cause of a gap by a text in the ledger's error; UNWRITABLE for any other error.
CAUSES = {
    "locked": "ledger locked",
    "disk": "disk full",
    "space left": "disk full",
    "read-only": "folder read-only",
    "deleted": "ledger file deleted",
}
UNWRITABLE = "ledger not writable"


class Parts(NamedTuple):
    """The connections, files and rows that a collector uses."""

    source: Source
    spool: Spool
    store: Store
    proxy: ProxyRow
    refusals: Refusals
    file_identity: FileIdentity
    wal: Wal
    status_poll: StatusPoll
    retention: Retention


class Outage(NamedTuple):
    """A time without collection: the cause and detail of its gap; whether a batch may be lost."""

    cause: str
    detail: str | None
    at_risk: bool


class Collector:
    """The job of the ingest worker. Nothing is popped while the last batch is not committed."""

    def __init__(self, parts: Parts, *, batch_size: int) -> None:
        self._parts = parts
        self._max_count = batch_size
        self._default_count = self._count = min(DEFAULT_POP_SIZE, batch_size)
        self._last_number = parts.proxy.last_batch()
        self._pending: Batch | None = None
        self._is_spooled = False
        self._outage: Outage | None = None
        self._is_outage_written = False
        self._note_due = 0.0

    def recover(self, *, was_killed: bool) -> None:
        """Read the batch in the spool, to store it first, and open the gap since the last pop."""
        batch, is_torn = self._parts.spool.read()
        if batch and batch.number > self._last_number:
            log.info("replaying a spooled batch of %d records", len(batch.records))
            self._pending, self._is_spooled = batch, True
        else:
            self._parts.spool.clear()
        cause = "collector killed" if was_killed else "collector stopped"
        detail = "the last batch was cut off while it was written to the spool" if is_torn else None
        self._open_gap(Outage(cause, detail, at_risk=is_torn or (was_killed and not batch)))

    def step(self) -> int:
        """Collect one batch. Return 0 when the queue is empty.

        Raises `Unavailable` or `Refused`.
        """
        if self._pending:
            self._store(self._pending)
            if self._outage:
                self._open_gap(self._outage)
            return 1
        count = self._count
        batch = self._pop(count)
        if batch:
            self._store(batch)
        self._note_pop()
        if batch and len(batch.records) >= count:
            return len(batch.records)
        self._parts.status_poll.after_empty_pop()
        self._parts.retention.after_empty_pop()
        return 0

    def status_note(self) -> str | None:
        """Return None: the state page shows the proxy's own settings."""
        return None

    def failed(self, error: Unavailable | Refused) -> None:
        """Open a gap; when the ledger cannot be written now, the gap is opened later."""
        outage = Outage(self._cause(error), str(error), at_risk=isinstance(error, PopInterrupted))
        with contextlib.suppress(Unavailable):
            self._open_gap(outage)

    def _cause(self, error: Unavailable | Refused) -> str:
        if self._pending or isinstance(error, Unwritable):
            causes = (cause for word, cause in CAUSES.items() if word in str(error))
            return next(causes, UNWRITABLE)
        if isinstance(error, Refused):
            return "key refused"
        if isinstance(error, PopInterrupted):
            return "connection lost"
        return "proxy away"

    def _pop(self, count: int) -> Batch | None:
        """Pop a batch, which removes its records from the proxy."""
        was_open = self._parts.source.is_open
        if not was_open:
            self._parts.refusals.check()
        self._parts.file_identity.check()
        self._parts.spool.reserve()
        try:
            records = self._parts.source.pop(count)
        except Refused as error:
            self._parts.refusals.store(error, worker="ingest")
            raise
        if not was_open:
            self._parts.refusals.delete()
        if records:
            self._count = self._next_count(count, records)
            name = self._parts.source.name
            self._pending = Batch(self._last_number + 1, name, now(), records)
        return self._pending

    def _next_count(self, count: int, records: list[bytes]) -> int:
        """Return the size of the next pop: smaller after a large reply, larger after a full one."""
        if sum(map(len, records)) > LARGE_REPLY_BYTES:
            return max(count // 8, 1)
        return min(2 * count, self._max_count if len(records) >= count else self._default_count)

    def _store(self, batch: Batch) -> None:
        """Write a batch to the spool, then to the ledger."""
        if not self._is_spooled:
            self._parts.spool.write(batch)
            self._is_spooled = True
        if batch.number > self._last_number:
            counts = self._parts.store.write(batch, map(parse, batch.records))
            self._last_number = batch.number
            log.debug("batch %d: %s", batch.number, counts)
        # A commit to a file that was deleted in the meantime is lost.
        self._parts.file_identity.check()
        self._pending, self._is_spooled = None, False
        self._parts.spool.clear()

    def _open_gap(self, outage: Outage) -> None:
        """Open a gap, unless the gap of this outage is in the ledger already."""
        self._outage = self._outage or outage
        if not self._is_outage_written or outage.at_risk:
            self._parts.proxy.open_gap(outage.cause, outage.detail, at_risk=outage.at_risk)
            self._is_outage_written = True

    def _note_pop(self) -> None:
        """Write the time of the pop every few seconds, and at once where it ends an outage."""
        if not self._outage and time.monotonic() < self._note_due:
            return
        self._parts.proxy.note_pop(now(), self._parts.source.name)
        self._parts.wal.trim()
        self._outage, self._is_outage_written = None, False
        self._note_due = time.monotonic() + POP_NOTE_SECONDS

    def close(self) -> None:
        """Close the connections; a batch that could not be stored stays in the spool."""
        if self._pending and not self._is_spooled:
            self._spool_last(self._pending)
        self._parts.source.close()
        self._parts.status_poll.close()
        self._parts.spool.close()

    def _spool_last(self, batch: Batch) -> None:
        """Try once more to spool a popped batch before the process ends."""
        try:
            self._parts.spool.write(batch)
        except Unavailable as error:
            log.critical("a popped batch of %d records is lost: %s", len(batch.records), error)
