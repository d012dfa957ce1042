"""The collector's work while the queue is empty: poll the proxy's status, delete old events."""

import logging
import sqlite3
import time
from typing import NamedTuple

from ingest.management import Management
from ingest.proxies import ProxyRow
from ingest.reconcile import Reading, Reconciliation
from ledger import Unavailable, Unwritable, retention
from runtime.heartbeat import now
from runtime.refusals import Refusals, Refused

log = logging.getLogger(__name__)

POLL_SECONDS = 60.0
CUTOFF_SECONDS = 3600.0


class StatusTarget(NamedTuple):
    """The rows to which the proxy's answers are written."""

    proxy: ProxyRow
    reconciliation: Reconciliation
    refusals: Refusals


class StatusPoll:
    """Polls status and counters after an empty pop, so that counters and events are comparable."""

    def __init__(self, management: Management, target: StatusTarget) -> None:
        self._management = management
        self._target = target
        self._due = 0.0
        self._reading: Reading | None = None
        self._warned = False

    def after_empty_pop(self) -> None:
        """Write the last reading, all events of which are stored now; poll when it is due.

        Raises `Unwritable`; a proxy that does not answer is polled again later.
        """
        if self._reading:
            reading, self._reading = self._reading, None
            self._target.reconciliation.write(reading, now())
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + POLL_SECONDS
        try:
            self._poll()
        except Unwritable:
            raise
        except Unavailable as error:
            log.debug("no status: %s", error)
        except Refused as error:
            # Each further attempt would count towards a ban; an open connection stays usable.
            self._target.refusals.store(error, worker="ingest")
            self._due = time.monotonic() + max(0.0, (error.retry_at - now()) / 1000)
            log.warning("%s", error)

    def _poll(self) -> None:
        status = self._management.status()
        self._target.proxy.write_status(status, now())
        if status.statistics_enabled is False and not self._warned:
            log.warning(
                "the proxy queues no events: set usage-statistics-enabled: true in its config.yaml"
            )
        self._warned = status.statistics_enabled is False
        stored_before = self._target.reconciliation.newest_id()
        attempts = self._management.attempts()
        self._reading = Reading(attempts, stored_before) if attempts else None

    def close(self) -> None:
        """Close the connection."""
        self._management.close()


class Retention:
    """Deletes events older than `keep_events_days`, some after each empty pop; 0 keeps all."""

    def __init__(self, conn: sqlite3.Connection, keep_days: int) -> None:
        self._conn = conn
        self._keep_days = keep_days
        self._due = 0.0
        self._is_done = keep_days <= 0

    def after_empty_pop(self) -> None:
        """Delete some events, or release some disk space once all are deleted."""
        if self._keep_days and time.monotonic() >= self._due:
            self._due = time.monotonic() + CUTOFF_SECONDS
            retention.move_cutoff(self._conn, keep_days=self._keep_days, now=now())
            self._is_done = False
        if not self._is_done and not retention.prune_batch(self._conn):
            self._is_done = not retention.release_pages(self._conn)
