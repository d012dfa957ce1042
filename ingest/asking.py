"""Ask the proxy now and then how it is set and what it counted."""

import logging
import time
from typing import NamedTuple

from ingest.management import Management
from ingest.proxies import Collection
from ingest.reconcile import Reading, Reconciliation
from ledger import Unwritable
from runtime.errors import Refused, Unavailable
from runtime.heartbeat import now
from runtime.refusals import Refusals

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0


class Told(NamedTuple):
    """Where what the proxy says goes."""

    collection: Collection
    reconciliation: Reconciliation
    refusals: Refusals


class Asker:
    """Asks after a pop that left the queue empty, so that counters and events can be compared."""

    def __init__(self, management: Management, told: Told) -> None:
        self._management = management
        self._told = told
        self._due = 0.0
        self._reading: Reading | None = None
        self._warned = False

    def after_empty_pop(self) -> None:
        """Settle the last reading, whose events are all stored by now; ask when it is time.

        Raises `Unwritable`; a proxy that does not tell is asked again later.
        """
        if self._reading:
            reading, self._reading = self._reading, None
            self._told.reconciliation.keep(reading, now())
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        try:
            self._ask()
        except Unwritable:
            raise
        except Unavailable as error:
            log.debug("not told: %s", error)
        except Refused as error:
            # Each further try would count towards a ban; a connection that is open may go on.
            self._told.refusals.keep(error, told="ingest")
            self._due = time.monotonic() + max(0.0, (error.retry_at - now()) / 1000)
            log.warning("%s", error)

    def _ask(self) -> None:
        """Ask for the settings, then for the counters."""
        status = self._management.status()
        self._told.collection.keep_status(status, now())
        if status.statistics_enabled is False and not self._warned:
            log.warning("the proxy collects nothing: set usage-statistics-enabled: true in it")
        self._warned = status.statistics_enabled is False
        stored_before = self._told.reconciliation.newest()
        counts = self._management.counts()
        self._reading = Reading(counts, stored_before) if counts else None

    def close(self) -> None:
        """End the connection."""
        self._management.close()
