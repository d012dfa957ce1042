"""The alerts worker: check the conditions, write the episodes, send the messages."""

import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from alerts import conditions, delivery, episodes
from alerts.conditions import CustomRules
from alerts.delivery import DueAlert
from alerts.sender import Result, Sender
from ledger import Unavailable
from runtime.refusals import Refused

log = logging.getLogger(__name__)

READ_SECONDS, CLOSE_SECONDS = 0.5, 3.0
PRUNE_SECONDS = 3600.0


class Parts(NamedTuple):
    """The parts of the worker. For `calm_ms` after a start or a pause it begins no episode."""

    conn: sqlite3.Connection
    folder: Path
    urls: Mapping[int, str]
    quiet_hours: str
    zone: str
    language: str
    every_seconds: float
    calm_ms: int


class AlertsWorker:
    """The job of the alerts worker."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._custom_rules = CustomRules(parts.folder)
        self._check_due = 0.0
        self._prune_due = 0.0
        self._checked_at: int | None = None
        self._calm_until = 0
        self._sender: Sender | None = None
        self._sending: Mapping[int, list[DueAlert]] = {}
        self._unwritten: list[tuple[Result, list[DueAlert]]] = []

    def step(self) -> int:
        """Check the conditions when it is time, and continue sending. Raises `Unavailable`."""
        self._take_results(READ_SECONDS)
        changes = 0
        if time.monotonic() >= self._check_due:
            changes = self._check()
            self._check_due = time.monotonic() + self._parts.every_seconds
        return changes + self._send()

    def status_note(self) -> str | None:
        """Return what is wrong with the custom rules; all else is among the problems."""
        return self._custom_rules.problem

    def failed(self, error: Unavailable | Refused) -> None:
        """Check again at the next step."""
        self._check_due = 0.0

    def close(self) -> None:
        """Wait briefly for the results of messages; a message without a result is sent again."""
        deadline = time.monotonic() + CLOSE_SECONDS
        try:
            while (self._sender or self._unwritten) and time.monotonic() < deadline:
                self._take_results(READ_SECONDS)
        except Unavailable as error:
            log.warning("the last results could not be written: %s", error)
        if self._sender:
            self._sender.end()

    def _check(self) -> int:
        """Write the changes since the last check; return how many alerts began or ended."""
        conn, now = self._parts.conn, conditions.clock(self._parts.conn)
        if not self._is_calm(now):
            return 0
        self._prune(now)
        current = conditions.current(conn, self._parts.language)
        open_episodes = episodes.read_open(conn)
        custom = self._custom_rules.current()
        if custom is None:
            # It is unknown whether these conditions hold: their episodes stay unchanged.
            open_episodes = [episode for episode in open_episodes if not episode.custom]
        changes = episodes.compare([*current, *(custom or ())], open_episodes, now)
        if not changes.are_none:
            episodes.write(conn, changes, now, self._quiet_until(now))
        if changes.begun or changes.ended:
            log.info("%d alerts began, %d ended", len(changes.begun), len(changes.ended))
        return len(changes.begun) + len(changes.ended)

    def _prune(self, now: int) -> None:
        """Delete old episodes once an hour."""
        if time.monotonic() >= self._prune_due:
            episodes.prune(self._parts.conn, now)
            self._prune_due = time.monotonic() + PRUNE_SECONDS

    def _is_calm(self, now: int) -> bool:
        """Return whether the other workers had time to report after a start or a sleep."""
        longest_ms = 4 * self._parts.every_seconds * 1000 + 10_000
        before, self._checked_at = self._checked_at, now
        if before is None or not 0 <= now - before <= longest_ms:
            self._calm_until = now + self._parts.calm_ms
        return now >= self._calm_until

    def _send(self) -> int:
        """Send the due messages unless a batch is being sent; return its number of messages."""
        if self._sender:
            return len(self._sending)
        now = conditions.clock(self._parts.conn)
        is_quiet = self._quiet_until(now) is not None
        self._sending = delivery.due(self._parts.conn, now, is_quiet=is_quiet)
        messages = [
            delivery.compose(receiver, self._parts.urls[receiver], alerts, self._parts.language)
            for receiver, alerts in self._sending.items()
        ]
        if messages:
            self._sender = Sender(messages)
        return len(messages)

    def _take_results(self, wait: float) -> None:
        """Write the results of the messages that are being sent. Raises `Unavailable`."""
        if self._sender:
            results = self._sender.results(wait)
            self._unwritten += [(result, self._sending[result.receiver]) for result in results]
            if self._sender.is_done:
                self._sender = None
        if not self._unwritten:
            return
        now = conditions.clock(self._parts.conn)
        delivery.write_results(self._parts.conn, self._unwritten, now)
        for result, _ in self._unwritten:
            if result.error:
                log.warning("a message could not be sent: %s", result.error)
        self._unwritten.clear()

    def _quiet_until(self, now: int) -> int | None:
        return delivery.quiet_until(self._parts.quiet_hours, self._parts.zone, now)
