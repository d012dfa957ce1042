"""What a worker says of itself, as one row."""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable

from ledger import Unavailable, transaction

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
BEAT = """
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
FORGET = """
  delete from heartbeats
  where role = :role and worker not in (select value from json_each(:names))
"""


def now() -> int:
    """Give the current instant in ms, UTC."""
    return time.time_ns() // 1_000_000


class Heartbeat:
    """Writes the row at each change of state and every few seconds; logs changes once."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        worker: str,
        *,
        role: str | None = None,
        proxy_id: int | None = None,
    ) -> None:
        self._conn = conn
        self._who = {"worker": worker, "role": role or worker, "proxy_id": proxy_id}
        self._started_at = now()
        self._said: tuple[str, str | None] | None = None
        self._due = 0.0

    def beat(self, state: str, detail: str | None = None) -> None:
        """Say how things are; a row that cannot be written now is written later."""
        said, self._said = self._said, (state, detail)
        if said == self._said and time.monotonic() < self._due:
            return
        if said is None or said[1] != detail or state == "stopped":
            log.log(*wording(state, detail))
        try:
            with transaction(self._conn):
                self._conn.execute(BEAT, self._row(state, detail))
            self._due = time.monotonic() + EVERY_SECONDS
        except (Unavailable, sqlite3.Error) as error:
            log.debug("heartbeat not written: %s", error)

    def again(self) -> None:
        """Say that things are as they were said to be."""
        if self._said:
            self.beat(*self._said)

    def stop(self) -> None:
        """Say that this is a clean end; what was wrong before it stays readable."""
        self.beat("stopped", self._said and self._said[1])

    def _row(self, state: str, detail: str | None) -> dict[str, object]:
        return {
            **self._who,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "beat_at": now(),
            "state": state,
            "detail": detail,
        }


def forget_others(conn: sqlite3.Connection, role: str, names: Iterable[str]) -> None:
    """Forget what workers of a role said that are no longer started under that name."""
    with transaction(conn):
        conn.execute(FORGET, {"role": role, "names": json.dumps(list(names))})


def wording(state: str, detail: str | None) -> tuple[int, str, str]:
    """Give the log line for a change of state: level, format and text."""
    level = logging.WARNING if state in ("waiting", "refused") else logging.INFO
    return level, "%s", f"{state}: {detail}" if detail else state
