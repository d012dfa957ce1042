"""Look what is worth an alert, remember it, and tell whoever is to be told."""

import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from alerts import outbox, source, store
from alerts.courier import SECONDS, Courier
from alerts.message import compose
from alerts.model import Part, Result
from alerts.own import Own
from alerts.quiet import until
from alerts.rules import compare
from runtime.errors import Refused, Unavailable

log = logging.getLogger(__name__)

HEARING_SECONDS, LAST_WORDS_SECONDS = 0.5, 3.0


class Parts(NamedTuple):
    """What a watcher is made of; `calm_ms` is how long it looks on after a start or a pause."""

    conn: sqlite3.Connection
    folder: Path
    urls: Mapping[int, str]
    quiet_hours: str
    zone: str
    every_seconds: float
    calm_ms: int
    patience_seconds: float = SECONDS


class Watcher:
    """The job of the alerts worker."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._own = Own(parts.folder)
        self._look_due = 0.0
        self._looked_at: int | None = None
        self._calm_until = 0
        self._courier: Courier | None = None
        self._carried: Mapping[int, list[Part]] = {}
        self._unkept: list[tuple[Result, list[Part]]] = []
        self._remarks: list[str] = []

    def step(self) -> int:
        """Look if it is time, and go on sending. Raises `Unavailable`."""
        self._hear(HEARING_SECONDS)
        done = 0
        if time.monotonic() >= self._look_due:
            done = self._look()
            self._look_due = time.monotonic() + self._parts.every_seconds
        return done + self._send()

    def remark(self) -> str | None:
        """Say what keeps an alert from being seen or sent."""
        return "; ".join(self._remarks) or None

    def failed(self, error: Unavailable | Refused) -> None:
        """Look again as soon as it works."""
        self._look_due = 0.0

    def close(self) -> None:
        """Wait a moment for messages under way; what is not known to be sent is sent again."""
        until_then = time.monotonic() + LAST_WORDS_SECONDS
        try:
            while (self._courier or self._unkept) and time.monotonic() < until_then:
                self._hear(HEARING_SECONDS)
        except Unavailable as error:
            log.warning("what was sent last could not be kept: %s", error)
        if self._courier:
            self._courier.end()

    def _look(self) -> int:
        """Compare what holds now with what is remembered; give how much has changed."""
        conn, at = self._parts.conn, source.clock(self._parts.conn)
        if not self._is_calm(at):
            return 0
        conditions, known = source.look(conn), store.episodes(conn)
        own = self._own.look()
        if own is None:
            # Nobody knows whether they hold: they stay as they are.
            known = [episode for episode in known if not episode.own]
        changes = compare([*conditions, *(own or ())], known, at)
        if not changes.are_none:
            store.keep(conn, changes, at, self._quiet_until(at))
        if changes.begun or changes.over:
            log.info("%d alerts began, %d are over", len(changes.begun), len(changes.over))
        self._remark()
        return len(changes.begun) + len(changes.over)

    def _is_calm(self, at: int) -> bool:
        """Tell whether others had time to say how they are after a start or a sleep."""
        longest_ms = 4 * self._parts.every_seconds * 1000 + 10_000
        before, self._looked_at = self._looked_at, at
        if before is None or not 0 <= at - before <= longest_ms:
            self._calm_until = at + self._parts.calm_ms
        return at >= self._calm_until

    def _send(self) -> int:
        """Send what is due unless something is under way; give how many messages are."""
        if self._courier:
            return len(self._carried)
        at = source.clock(self._parts.conn)
        is_quiet = self._quiet_until(at) is not None
        self._carried = outbox.waiting(self._parts.conn, at, is_quiet=is_quiet)
        letters = [
            compose(receiver, self._parts.urls[receiver], found)
            for receiver, found in self._carried.items()
        ]
        if letters:
            self._courier = Courier(letters, seconds=self._parts.patience_seconds)
        return len(letters)

    def _hear(self, wait: float) -> None:
        """Keep what came of messages under way. Raises `Unavailable`."""
        if self._courier:
            results = self._courier.results(wait)
            self._unkept += [(result, self._carried[result.receiver]) for result in results]
            if self._courier.is_back:
                self._courier = None
        if not self._unkept:
            return
        outbox.keep(self._parts.conn, self._unkept, source.clock(self._parts.conn))
        for result, _ in self._unkept:
            if result.error:
                log.warning("a message could not be sent: %s", result.error)
        self._unkept.clear()
        self._remark()

    def _remark(self) -> None:
        conn, trouble = self._parts.conn, self._own.trouble
        self._remarks = outbox.troubles(conn) + source.unknown_names(conn)
        self._remarks += [trouble] if trouble else []

    def _quiet_until(self, at: int) -> int | None:
        return until(self._parts.quiet_hours, self._parts.zone, at)
