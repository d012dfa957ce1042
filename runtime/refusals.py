"""Refused management keys, remembered for every worker and restart."""

import re
import sqlite3

from ledger import transaction
from ledger.keys import Key
from runtime.errors import Refused
from runtime.heartbeat import now

# Five failures within two quiet hours ban our address, so after a second refusal we outwait them.
FIRST_WAIT_MS, LATER_WAIT_MS = 3_600_000, 3 * 3_600_000
LONGEST_BAN_SECONDS = 1800
# Go writes durations as 29m59s.
BAN = re.compile(r"IP banned\D*(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)(?:\.\d+)?s)?")
FIND = "select retry_at, message from refused_keys where proxy_id = ? and key_hash = ?"
KEEP = """
  insert into refused_keys
    (proxy_id, key_hash, refused_at, retry_at, refusals, told, message)
  values (:proxy_id, :key_hash, :refused_at, :retry_at, 1, :told, :message)
  on conflict (proxy_id, key_hash) do update set
    refused_at = excluded.refused_at,
    retry_at = max(excluded.retry_at, excluded.refused_at + :later),
    refusals = refusals + 1,
    told = excluded.told,
    message = excluded.message
"""


class Refusals:
    """What the ledger remembers of one key at one proxy."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int, key: Key) -> None:
        self._conn = conn
        self._at = (proxy_id, key.hash)

    def check(self) -> None:
        """Raise `Refused` while nobody may try this key."""
        row = self._conn.execute(FIND, self._at).fetchone()
        if row and now() < row[0]:
            raise Refused(row[1], retry_at=row[0])

    def keep(self, error: Refused, *, told: str) -> None:
        """Remember a refusal that `told`, a worker, has just met."""
        if self._stands():
            return
        values = {
            "proxy_id": self._at[0],
            "key_hash": self._at[1],
            "refused_at": now(),
            "retry_at": error.retry_at,
            "later": LATER_WAIT_MS,
            "told": told,
            "message": str(error),
        }
        with transaction(self._conn):
            self._conn.execute(KEEP, values)

    def _stands(self) -> bool:
        row = self._conn.execute(FIND, self._at).fetchone()
        return bool(row) and now() < row[0]

    def lift(self) -> None:
        """Forget the refusal: the key was accepted."""
        if self._conn.execute(FIND, self._at).fetchone():
            with transaction(self._conn):
                self._conn.execute(
                    "delete from refused_keys where proxy_id = ? and key_hash = ?", self._at
                )


def refusal(message: str, where: str) -> Refused | None:
    """Read the proxy's answer to a key, RESP and HTTP alike; None when it is not about the key.

    Texts as in `internal/api/handlers/management/handler.go` of CLIProxyAPI.
    """
    if ban := BAN.search(message):
        hours, minutes, seconds = (int(part or 0) for part in ban.groups())
        told = hours * 3600 + minutes * 60 + seconds
        left = told if any(ban.groups()) else LONGEST_BAN_SECONDS
        return Refused(
            f"{where} has banned this address for too many wrong keys; "
            f"trying again in {left // 60 + 1} minutes",
            retry_at=now() + (left + 60) * 1000,
        )
    if "invalid management key" in message or "missing management key" in message:
        return Refused(
            f"{where} refused the management key: correct management_key in config.json and start "
            "again (the same key rests for an hour, since five failures ban this address)",
            retry_at=now() + FIRST_WAIT_MS,
        )
    return None
