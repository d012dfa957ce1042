"""Refused management keys, stored for every worker and restart."""

import re
import sqlite3

from ledger import transaction
from ledger.keys import Key
from runtime.heartbeat import now

# Five failures ban our address, unless two hours pass without one: a second refusal waits longer.
FIRST_WAIT_MS, LATER_WAIT_MS = 3_600_000, 3 * 3_600_000
MAX_BAN_SECONDS = 1800
# Go writes durations as 29m59s.
BAN = re.compile(r"IP banned\D*(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)(?:\.\d+)?s)?")
FIND = "select retry_at, message from refused_keys where proxy_id = ? and key_hash = ?"
STORE = """
  insert into refused_keys
    (proxy_id, key_hash, refused_at, retry_at, refusals, worker, message)
  values (:proxy_id, :key_hash, :refused_at, :retry_at, 1, :worker, :message)
  on conflict (proxy_id, key_hash) do update set
    refused_at = excluded.refused_at,
    retry_at = max(excluded.retry_at, excluded.refused_at + :later),
    refusals = refusals + 1,
    worker = excluded.worker,
    message = excluded.message
"""
DELETE = "delete from refused_keys where proxy_id = ? and key_hash = ?"


class Refused(Exception):
    """The key was refused, or the address is banned. An immediate retry would prolong the ban.

    `retry_at` is the instant (ms) before which no process may try again.
    """

    def __init__(self, sentence: str, *, retry_at: int) -> None:
        super().__init__(sentence)
        self.retry_at = retry_at


class Refusals:
    """The stored refusal of one key at one proxy."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int, key: Key) -> None:
        self._conn = conn
        self._proxy_and_key = (proxy_id, key.hash)

    def check(self) -> None:
        """Raise `Refused` while no process may try this key."""
        row = self._conn.execute(FIND, self._proxy_and_key).fetchone()
        if row and now() < row[0]:
            raise Refused(row[1], retry_at=row[0])

    def store(self, error: Refused, *, worker: str) -> None:
        """Store a refusal that a worker has just received, unless a stored one still applies."""
        row = self._conn.execute(FIND, self._proxy_and_key).fetchone()
        if row and now() < row[0]:
            return
        values = {
            "proxy_id": self._proxy_and_key[0],
            "key_hash": self._proxy_and_key[1],
            "refused_at": now(),
            "retry_at": error.retry_at,
            "later": LATER_WAIT_MS,
            "worker": worker,
            "message": str(error),
        }
        with transaction(self._conn):
            self._conn.execute(STORE, values)

    def delete(self) -> None:
        """Delete the refusal, if there is one: the key was accepted."""
        if self._conn.execute(FIND, self._proxy_and_key).fetchone():
            with transaction(self._conn):
                self._conn.execute(DELETE, self._proxy_and_key)


def parse_refusal(message: str, proxy: str) -> Refused | None:
    """Parse the proxy's answer to a key, RESP and HTTP alike; None when it is not about the key.

    `proxy` is its name for the sentence. Texts as in `internal/api/handlers/management/handler.go`
    of CLIProxyAPI.
    """
    if ban := BAN.search(message):
        hours, minutes, seconds = (int(part or 0) for part in ban.groups())
        stated = hours * 3600 + minutes * 60 + seconds
        left = stated if any(ban.groups()) else MAX_BAN_SECONDS
        return Refused(
            f"{proxy} has banned this address for too many wrong keys; "
            f"trying again in {left // 60 + 1} minutes",
            retry_at=now() + (left + 60) * 1000,
        )
    if "invalid management key" in message or "missing management key" in message:
        return Refused(
            f"{proxy} refused the management key: correct management_key in config.json and start "
            "again (the same key is not tried for an hour, since five failures ban this address)",
            retry_at=now() + FIRST_WAIT_MS,
        )
    return None
