"""Collect: pop a batch, make it safe, understand it, store it."""

import contextlib
import logging
import time
from typing import NamedTuple

from ingest.asking import Asker
from ingest.parse import parse
from ingest.proxies import Collection
from ingest.source import CutOff, Source
from ingest.spool import Batch, Spool
from ingest.store import Store
from ingest.thinning import Thinning
from ledger import Unavailable, Unwritable
from ledger.presence import Presence
from ledger.wal import Wal
from runtime.errors import Refused
from runtime.heartbeat import now
from runtime.refusals import Refusals

log = logging.getLogger(__name__)

NOTE_EVERY_SECONDS = 5.0
# A reply above this size makes the next pops smaller, so that memory stays bounded.
LARGE_REPLY = 16 << 20
# Causes of a gap by what the ledger's error says; any other is "ledger not writable".
CAUSES = {"locked": "ledger locked", "disk": "disk full", "space left": "disk full"}
CAUSES |= {"read-only": "folder read-only", "deleted": "ledger file deleted"}


class Parts(NamedTuple):
    """What a collector is made of."""

    source: Source
    asker: Asker
    spool: Spool
    store: Store
    collection: Collection
    refusals: Refusals
    presence: Presence
    wal: Wal
    thinning: Thinning


class Trouble(NamedTuple):
    """Why nothing is collected: the gap's cause, the sentence, and whether a batch may be lost."""

    cause: str
    detail: str | None
    at_risk: bool


class Collector:
    """The job of the ingest worker. Nothing is popped while the last batch is not committed."""

    def __init__(self, parts: Parts, *, batch_size: int) -> None:
        self._parts = parts
        self._batch_size = self._count = batch_size
        self._number = parts.collection.last_batch()
        self._pending: Batch | None = None
        self._spooled = False
        self._trouble: Trouble | None = None
        self._trouble_kept = False
        self._note_due = 0.0

    def recover(self, *, was_killed: bool) -> None:
        """Take up what an earlier run left: its spooled batch, and the gap since its last pop."""
        batch, torn = self._parts.spool.read()
        if batch and batch.number > self._number:
            log.info("replaying a spooled batch of %d records", len(batch.records))
            self._pending, self._spooled = batch, True
        else:
            self._parts.spool.clear()
        cause = "collector killed" if was_killed else "collector stopped"
        detail = "the last batch was cut off while it was written to the spool" if torn else None
        self._begin_gap(Trouble(cause, detail, at_risk=torn or (was_killed and not batch)))

    def step(self) -> int:
        """Collect one batch; 0 when the queue is empty now. Raises `Unavailable`, `Refused`."""
        if self._pending:
            self._keep(self._pending)
            if self._trouble:
                self._begin_gap(self._trouble)
            return 1
        count = self._count
        batch = self._pop(count)
        if batch:
            self._keep(batch)
        self._note()
        if batch and len(batch.records) >= count:
            return len(batch.records)
        self._parts.asker.after_empty_pop()
        self._parts.thinning.after_empty_pop()
        return 0

    def remark(self) -> str | None:
        """Say nothing: what the proxy says of itself is on the state page."""
        return None

    def failed(self, error: Unavailable | Refused) -> None:
        """Begin a gap, on record as soon as the ledger can be written."""
        cause = "proxy away"
        if self._pending or isinstance(error, Unwritable):
            words = (named for word, named in CAUSES.items() if word in str(error))
            cause = next(words, "ledger not writable")
        elif isinstance(error, Refused):
            cause = "key refused"
        elif isinstance(error, CutOff):
            cause = "connection lost"
        trouble = Trouble(cause, str(error), at_risk=isinstance(error, CutOff))
        with contextlib.suppress(Unavailable):
            self._begin_gap(trouble)

    def _pop(self, count: int) -> Batch | None:
        """Take a batch out of the queue; from here on it exists nowhere else."""
        was_open = self._parts.source.is_open
        if not was_open:
            self._parts.refusals.check()
        self._parts.presence.check()
        self._parts.spool.reserve()
        try:
            records = self._parts.source.pop(count)
        except Refused as error:
            self._parts.refusals.keep(error, told="ingest")
            raise
        if not was_open:
            self._parts.refusals.lift()
        if records:
            is_large = sum(map(len, records)) > LARGE_REPLY
            self._count = max(count // 8, 1) if is_large else min(2 * count, self._batch_size)
            name = self._parts.source.name
            self._pending = Batch(self._number + 1, name, now(), records)
        return self._pending

    def _keep(self, batch: Batch) -> None:
        """Make a batch safe, then store it."""
        if not self._spooled:
            self._parts.spool.put(batch)
            self._spooled = True
        if batch.number > self._number:
            counts = self._parts.store.keep(batch, map(parse, batch.records))
            self._number = batch.number
            log.debug("batch %d: %s", batch.number, counts)
        # A commit into a file that was deleted meanwhile is none.
        self._parts.presence.check()
        self._pending, self._spooled = None, False
        self._parts.spool.clear()

    def _save(self, batch: Batch) -> None:
        """Try once more to make a popped batch safe before the end."""
        try:
            self._parts.spool.put(batch)
        except Unavailable as error:
            log.critical("a popped batch of %d records is lost: %s", len(batch.records), error)

    def _begin_gap(self, trouble: Trouble) -> None:
        """Begin a gap, unless this one is on record already."""
        self._trouble = self._trouble or trouble
        if not self._trouble_kept or trouble.at_risk:
            self._parts.collection.open_gap(*trouble)
            self._trouble_kept = True

    def _note(self) -> None:
        """Put the good pop on record now and then, and at once where it ends a gap."""
        if not self._trouble and time.monotonic() < self._note_due:
            return
        self._parts.collection.note_pop(now(), self._parts.source.name)
        self._parts.wal.trim()
        self._trouble, self._trouble_kept = None, False
        self._note_due = time.monotonic() + NOTE_EVERY_SECONDS

    def close(self) -> None:
        """End the connections; a batch that could not be stored stays in the spool."""
        if self._pending and not self._spooled:
            self._save(self._pending)
        self._parts.source.close()
        self._parts.asker.close()
        self._parts.spool.close()
