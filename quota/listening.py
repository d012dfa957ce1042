"""Hear what usage events tell of quotas; where nobody may be asked, this is all there is."""

import sqlite3

from quota import inbox
from quota.providers import PROVIDERS
from runtime.errors import Refused, Unavailable
from runtime.heartbeat import now


def listen(conn: sqlite3.Connection) -> int:
    """Keep what usage events tell of quotas; give how many signals there were."""
    taken = inbox.take_signals(conn)
    inbox.note_unlisted(conn, PROVIDERS)
    return taken


class Listener:
    """The job of the quota worker when `quota_source` is off."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def step(self) -> int:
        """Take signals, and answer every request with the reason why nobody is asked."""
        for wish in inbox.wishes(self._conn):
            inbox.answer(self._conn, {wish.id: "quota_source is off"}, now=now())
        return listen(self._conn)

    def remark(self) -> str | None:
        """Say nothing: it is as it was set."""
        return None

    def failed(self, error: Unavailable | Refused) -> None:
        """Try again from the start."""

    def close(self) -> None:
        """Hold nothing that would have to be let go."""
