"""The accounts that one proxy lists: their credentials, and what the ledger knows of them."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from quota import members
from quota.accounts import Members, bind
from quota.asking import Asker
from quota.schedule import Now, Standing
from quota.source import Found, Source
from runtime.heartbeat import now

log = logging.getLogger(__name__)

LOOK_EVERY_MS = {"files": 2_000, "management": 60_000}
HEALTHY = ("ok", "never", "no_source")


class Parts(NamedTuple):
    """What a poller is made of."""

    conn: sqlite3.Connection
    proxy_id: int
    source: Source
    asker: Asker
    may_ask: Callable[[], bool] = lambda: True
    clock: Callable[[], int] = now


class Roster:
    """The accounts of one proxy, looked at again and again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._members: Members = {}
        self._listed: object = None
        self._standings: Mapping[int, Standing] = {}
        self._look_due = 0

    def __iter__(self) -> Iterator[int]:
        """Go through the accounts."""
        return iter(self._members)

    def look(self) -> bool:
        """List the credentials now and then, and bind them when anything changed.

        Tells whether it was time to. Raises `Unavailable` or `Refused`.
        """
        at, conn, source = self._parts.clock(), self._parts.conn, self._parts.source
        if at < self._look_due:
            return False
        found = source.look()
        newest = conn.execute("select max(id) from credentials").fetchone()
        if self._listed != (found, source.name, newest):
            by_address = source.name == "files"
            self._members = bind(conn, self._parts.proxy_id, found, by_address=by_address)
            members.keep_members(conn, self._members, source.name)
            self._listed = (found, source.name, newest)
            log.info("%d credentials of %d accounts", len(found), len(self._members))
        self._look_due = at + LOOK_EVERY_MS[source.name]
        return True

    def look_soon(self) -> None:
        """Let the next look be at once."""
        self._look_due = 0

    def learn(self) -> None:
        """Learn what the ledger knows of all accounts now."""
        self._standings = members.standings(self._parts.conn, self._parts.proxy_id)

    def known(self, account_id: int) -> Standing:
        """Give what the ledger knows of an account's last polls."""
        return self._standings[account_id]

    def candidates(self, account_id: int) -> list[Found]:
        """Give an account's credentials that may be asked with at all."""
        return [f for f in self._members.get(account_id, ()) if members.is_askable(f)]

    def usable(self, account_id: int) -> list[Found]:
        """Give those among them whose tokens are not known to have expired."""
        at = self._parts.clock()
        return [f for f in self.candidates(account_id) if not members.is_expired(f, at)]

    def now(self, account_id: int) -> Now:
        """Give what an account's credentials are like at this moment."""
        found, source = self._members[account_id], self._parts.source.name
        asker = f"{source}:{self._parts.proxy_id}"
        return Now(
            at=self._parts.clock(),
            provider=found[0].credential.provider,
            source=source,
            fingerprint=" ".join((asker, *(each.fingerprint for each in found))),
            credentials=len(self.candidates(account_id)) + self.known(account_id).elsewhere,
        )

    def remark(self) -> str | None:
        """Say how many accounts cannot be read."""
        states = [self._standings[a].state for a in self._members if a in self._standings]
        troubled = sum(state not in HEALTHY for state in states)
        if not troubled:
            return None
        return f"{troubled} of {len(states)} accounts cannot be read: see quota_errors"
