"""Keep the quotas of a proxy's accounts fresh: one account a step, rarely, never two at once."""

from typing import NamedTuple

from ledger import transaction
from quota import inbox, members
from quota.claims import Claims
from quota.fetch import Stopped
from quota.history import prune
from quota.listening import listen
from quota.roster import Parts, Roster
from quota.schedule import is_due, is_too_soon
from quota.source import Vanished
from quota.wishes import NOTHING, TOO_SOON, Wishes
from runtime.errors import Refused, Unavailable

__all__ = ["Parts", "Poller", "Shared"]

PRUNE_EVERY_MS = 6 * 3_600_000
# A credential that changed since the last look, or has expired, is left alone for a moment.
REST_MS = 10_000
# The command line's own request, beside those of the ledger.
FORCED = inbox.Wish(0, None)


class Shared(NamedTuple):
    """What the pollers of all proxies share."""

    wishes: Wishes
    claims: Claims


class Poller:
    """The job of the quota worker for one proxy; `shared` is with those for the others."""

    def __init__(self, parts: Parts, *, force: bool = False, shared: Shared | None = None) -> None:
        self._parts = parts
        self._proxy_id = parts.proxy_id
        self._roster = Roster(parts)
        self._force = force
        self._wishes, self._claims = shared or Shared(Wishes({self._proxy_id: ()}), Claims())
        self._claimed: int | None = None
        self._resting: dict[int, int] = {}
        self._tries: dict[int, int] = {}
        self._prune_due = 0

    def step(self) -> int:
        """Take signals, then ask one account if one is due. Raises `Unavailable`, `Refused`."""
        self._parts.asker.keep()
        self._give_back()
        done = listen(self._parts.conn)
        self._prune()
        if not self._parts.may_ask():
            return done
        if self._roster.look():
            self._wishes.lists(self._proxy_id, self._roster)
        self._roster.learn()
        self._hear()
        done += self._ask_next()
        self._answer()
        return done

    def remark(self) -> str | None:
        """Say how many accounts cannot be read."""
        return self._roster.remark()

    def failed(self, error: Unavailable | Refused) -> None:
        """Look at the credentials again as soon as it works; nobody waits for this proxy."""
        self._roster.look_soon()
        self._wishes.away(self._proxy_id)
        self._give_back()

    def close(self) -> None:
        """Hold nothing that would have to be let go."""

    def _hear(self) -> None:
        """Take up what persons asked for."""
        forced = [FORCED] if self._force else []
        self._force = False
        with self._wishes.lock:
            for wish in forced + inbox.wishes(self._parts.conn):
                if not self._wishes.is_heard(wish.id, self._proxy_id):
                    about = [a for a in self._roster if wish.account_id in (None, a)]
                    told = {account_id: self._obstacle(account_id) for account_id in about}
                    self._wishes.hear(wish.id, self._proxy_id, told, about=wish.account_id)

    def _obstacle(self, account_id: int) -> str | None:
        """Say why an account cannot be asked for a request, if it cannot."""
        known, roster = self._roster.known(account_id), self._roster
        if not (roster.usable(account_id) if known.elsewhere else roster.candidates(account_id)):
            return NOTHING
        return TOO_SOON if is_too_soon(known, roster.now(account_id)) else None

    def _answer(self) -> None:
        """Answer the requests that are done."""
        with self._wishes.lock:
            outcomes = self._wishes.done()
            outcomes.pop(FORCED.id, None)
            if outcomes:
                inbox.answer(self._parts.conn, outcomes, now=self._parts.clock())

    def _ask_next(self) -> int:
        """Ask the account whose turn it is; give 1, or 0 when it is nobody's."""
        due = [self._roster.known(a) for a in self._roster if self._is_due(a)]
        # An account that keeps failing, perhaps slowly, waits until the others had their turn.
        due.sort(key=lambda known: (known.consecutive_failures, known.next_attempt_at or 0))
        self._claimed = next((k.account_id for k in due if self._claims.take(k.account_id)), None)
        if self._claimed is None:
            return 0
        # Another proxy's poller may have asked it just before it was claimed.
        self._roster.learn()
        done = self._ask(self._claimed) if self._is_due(self._claimed) else 0
        self._give_back()
        return done

    def _ask(self, account_id: int) -> int:
        """Ask an account with one of its credentials; give 1, or 0 when it is time to stop."""
        roster, tried = self._roster, self._tries.get(account_id, 0)
        usable = roster.usable(account_id)
        found = usable[tried % len(usable)]
        try:
            worked = self._parts.asker.ask(roster.known(account_id), roster.now(account_id), found)
        except Vanished:
            roster.look_soon()
            worked = False
            self._resting[account_id] = self._parts.clock() + REST_MS
        except Stopped:
            return 0
        # The account's next credential has its turn after one that failed.
        self._tries[account_id] = tried + (not worked)
        self._wishes.asked(account_id, worked=worked)
        return 1

    def _give_back(self) -> None:
        """Let others ask the claimed account again, unless a result still waits for the ledger."""
        if self._claimed is not None and not self._parts.asker.is_keeping:
            self._claims.give_back(self._claimed)
            self._claimed = None

    def _is_due(self, account_id: int) -> bool:
        known, at = self._roster.known(account_id), self._parts.clock()
        if at < self._resting.get(account_id, 0) or not self._roster.candidates(account_id):
            return False
        wanted = self._wishes.is_wanted(account_id)
        if not is_due(known, self._roster.now(account_id), wanted=wanted):
            return False
        if self._roster.usable(account_id):
            return True
        self._resting[account_id] = at + REST_MS
        # Another proxy's login of the same account may well work.
        if not known.elsewhere:
            members.keep_expired(self._parts.conn, known)
            self._wishes.asked(account_id, worked=False)
        return False

    def _prune(self) -> None:
        if self._parts.clock() >= self._prune_due:
            with transaction(self._parts.conn):
                prune(self._parts.conn, self._parts.clock())
            self._prune_due = self._parts.clock() + PRUNE_EVERY_MS
