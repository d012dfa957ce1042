"""The state of a worker, as one row that it writes every few seconds."""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable

from ledger import Unavailable, transaction

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
WRITE = """
  insert into heartbeats (worker, role, proxy_id, pid, started_at, beat_at, state, detail)
  values (:worker, :role, :proxy_id, :pid, :started_at, :beat_at, :state, :detail)
  on conflict (worker) do update set
    role = excluded.role,
    proxy_id = excluded.proxy_id,
    pid = excluded.pid,
    started_at = excluded.started_at,
    beat_at = excluded.beat_at,
    state = excluded.state,
    detail = excluded.detail
"""
DELETE_OTHERS = """
  delete from heartbeats
  where role = :role and worker not in (select value from json_each(:names))
"""


def now() -> int:
    """Return the current instant in ms, UTC."""
    return time.time_ns() // 1_000_000


class Heartbeat:
    """Writes the row at each change of state and every few seconds; logs each change once."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        worker: str,
        *,
        role: str | None = None,
        proxy_id: int | None = None,
    ) -> None:
        self._conn = conn
        self._identity = {"worker": worker, "role": role or worker, "proxy_id": proxy_id}
        self._started_at = now()
        self._state: tuple[str, str | None] | None = None
        self._due = 0.0

    def beat(self, state: str, detail: str | None = None) -> None:
        """Set the state, and write it when due, or later if the ledger cannot be written now."""
        previous, self._state = self._state, (state, detail)
        if previous == self._state and time.monotonic() < self._due:
            return
        if previous is None or previous[1] != detail or state == "stopped":
            log.log(log_level(state), "%s", f"{state}: {detail}" if detail else state)
        try:
            with transaction(self._conn):
                self._conn.execute(WRITE, self._row(state, detail))
            self._due = time.monotonic() + EVERY_SECONDS
        except (Unavailable, sqlite3.Error) as error:
            log.debug("heartbeat not written: %s", error)

    def repeat(self) -> None:
        """Write the same state again when due."""
        if self._state:
            self.beat(*self._state)

    def stop(self) -> None:
        """Write the state of a regular end; the last detail remains readable."""
        self.beat("stopped", self._state and self._state[1])

    def _row(self, state: str, detail: str | None) -> dict[str, object]:
        return {
            **self._identity,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "beat_at": now(),
            "state": state,
            "detail": detail,
        }


def delete_other_heartbeats(conn: sqlite3.Connection, role: str, names: Iterable[str]) -> None:
    """Delete the rows of a role's tasks whose names no longer exist."""
    with transaction(conn):
        conn.execute(DELETE_OTHERS, {"role": role, "names": json.dumps(list(names))})


def log_level(state: str) -> int:
    """Return the level at which a change to a state is logged."""
    return logging.WARNING if state in ("waiting", "refused") else logging.INFO
