"""Keep the quotas of all accounts fresh: one account a step, rarely, and never two at once."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ledger import transaction
from quota import inbox, members
from quota.accounts import Members, bind
from quota.asking import Asker
from quota.fetch import Stopped
from quota.history import prune
from quota.listening import listen
from quota.schedule import Now, Standing, is_due, is_too_soon
from quota.source import Found, Source, Vanished
from quota.wishes import Wishes
from worker.errors import Refused, Unavailable
from worker.heartbeat import now

log = logging.getLogger(__name__)

LOOK_EVERY_MS = {"files": 2_000, "management": 60_000}
PRUNE_EVERY_MS = 6 * 3_600_000
# A credential that changed since the last look, or has expired, is left alone for a moment.
REST_MS = 10_000
# The command line's own request, beside those of the ledger.
FORCED = inbox.Wish(0, None)
HEALTHY = ("ok", "never", "no_source")


class Parts(NamedTuple):
    """What a poller is made of."""

    conn: sqlite3.Connection
    proxy_id: int
    source: Source
    asker: Asker
    may_ask: Callable[[], bool] = lambda: True
    clock: Callable[[], int] = now


class Poller:
    """The job of the quota worker."""

    def __init__(self, parts: Parts, *, force: bool = False) -> None:
        self._parts = parts
        self._force = force
        self._members: Members = {}
        self._listed: object = None
        self._standings: Mapping[int, Standing] = {}
        self._wishes = Wishes()
        self._resting: dict[int, int] = {}
        self._tries: dict[int, int] = {}
        self._look_due = self._prune_due = 0

    def step(self) -> int:
        """Take signals, then ask one account if one is due. Raises `Unavailable`, `Refused`."""
        self._parts.asker.keep()
        done = listen(self._parts.conn)
        self._prune()
        if not self._parts.may_ask():
            return done
        self._look()
        self._standings = members.standings(self._parts.conn)
        self._hear()
        done += self._ask_next()
        self._answer()
        return done

    def remark(self) -> str | None:
        """Say how many accounts cannot be read."""
        listed = [self._standings[a].state for a in self._members if a in self._standings]
        troubled = sum(state not in HEALTHY for state in listed)
        if not troubled:
            return None
        return f"{troubled} of {len(listed)} accounts cannot be read: see quota_errors"

    def failed(self, error: Unavailable | Refused) -> None:
        """Look at the credentials again as soon as it works."""
        self._look_due = 0

    def close(self) -> None:
        """Hold nothing that would have to be let go."""

    def _look(self) -> None:
        """List the credentials now and then, and bind them when anything changed."""
        at, conn, source = self._parts.clock(), self._parts.conn, self._parts.source
        if at < self._look_due:
            return
        found = source.look()
        newest = conn.execute("select max(id) from credentials").fetchone()
        if self._listed != (found, source.name, newest):
            by_address = source.name == "files"
            self._members = bind(conn, self._parts.proxy_id, found, by_address=by_address)
            members.keep_members(conn, self._members, source.name)
            self._listed = (found, source.name, newest)
            self._wishes.give_up(self._members)
            log.info("%d credentials of %d accounts", len(found), len(self._members))
        self._look_due = at + LOOK_EVERY_MS[source.name]

    def _hear(self) -> None:
        """Take up what persons asked for."""
        heard = [FORCED] if self._force else []
        self._force = False
        for wish in heard + inbox.wishes(self._parts.conn):
            if wish.id not in self._wishes.open:
                about = [a for a in self._members if wish.account_id in (None, a)]
                askable = [a for a in about if self._candidates(a)]
                soon = [a for a in askable if is_too_soon(self._standings[a], self._now(a))]
                self._wishes.begin(wish.id, askable, soon=soon, of=max(len(about), 1))

    def _answer(self) -> None:
        """Answer the requests that are done."""
        outcomes = self._wishes.done()
        outcomes.pop(FORCED.id, None)
        if outcomes:
            inbox.answer(self._parts.conn, outcomes, now=self._parts.clock())

    def _ask_next(self) -> int:
        """Ask the account whose turn it is; give 1, or 0 when it is nobody's."""
        due = [self._standings[a] for a in self._members if self._is_due(a)]
        if not due:
            return 0
        # An account that keeps failing, perhaps slowly, waits until the others had their turn.
        turn = min(due, key=lambda known: (known.consecutive_failures, known.next_attempt_at or 0))
        usable = [f for f in self._candidates(turn.account_id) if not self._is_expired(f)]
        tried = self._tries.get(turn.account_id, 0)
        found = usable[tried % len(usable)]
        try:
            worked = self._parts.asker.ask(turn, self._now(turn.account_id), found)
        except Vanished:
            self._look_due, worked = 0, False
            self._resting[turn.account_id] = self._parts.clock() + REST_MS
        except Stopped:
            return 0
        # The account's next credential has its turn after one that failed.
        self._tries[turn.account_id] = tried + (not worked)
        self._wishes.asked(turn.account_id, worked=worked)
        return 1

    def _is_due(self, account_id: int) -> bool:
        known, at = self._standings[account_id], self._parts.clock()
        candidates = self._candidates(account_id)
        if at < self._resting.get(account_id, 0) or not candidates:
            return False
        wanted = self._wishes.is_wanted(account_id)
        if not is_due(known, self._now(account_id), wanted=wanted):
            return False
        if not all(map(self._is_expired, candidates)):
            return True
        if known.state != "token_expired":
            members.keep_expired(self._parts.conn, account_id)
        self._wishes.asked(account_id, worked=False)
        self._resting[account_id] = at + REST_MS
        return False

    def _is_expired(self, found: Found) -> bool:
        return members.is_expired(found, self._parts.clock())

    def _candidates(self, account_id: int) -> list[Found]:
        return [f for f in self._members.get(account_id, ()) if members.is_askable(f)]

    def _now(self, account_id: int) -> Now:
        found, source = self._members[account_id], self._parts.source.name
        return Now(
            at=self._parts.clock(),
            provider=found[0].credential.provider,
            source=source,
            fingerprint=" ".join((source, *(each.fingerprint for each in found))),
            credentials=len(self._candidates(account_id)),
        )

    def _prune(self) -> None:
        if self._parts.clock() >= self._prune_due:
            with transaction(self._parts.conn):
                prune(self._parts.conn, self._parts.clock())
            self._prune_due = self._parts.clock() + PRUNE_EVERY_MS
