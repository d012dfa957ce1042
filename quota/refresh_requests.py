"""Requests to refresh quotas now: the rows of `quota_requests`, and the progress of each.

The pollers of all proxies share the progress. Each poller replies to a request once, with the
accounts it will poll and the reason for those it will not. A request is finished when no reply
and no poll is missing; a proxy that is away does not delay it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import NamedTuple

from ledger import transaction

REFRESHED, FAILED, TOO_SOON = "refreshed", "failed", "asked too recently"
TOLD_TO_WAIT = "told to wait by the provider"
NO_CREDENTIAL = "without a usable credential"
OUTCOMES = (REFRESHED, FAILED, TOO_SOON, TOLD_TO_WAIT, NO_CREDENTIAL)
ADD = "insert into quota_requests (requested_at) values (?)"
OPEN = "select id, account_id from quota_requests where answered_at is null order by id"
IS_ANSWERED = "select answered_at is not null from quota_requests where id = ?"
ANSWER = """
  update quota_requests set answered_at = :now, outcome = :outcome
  where id = :id and answered_at is null
"""


class RefreshRequest(NamedTuple):
    """A request to refresh one account, or all of them."""

    id: int
    account_id: int | None


def add_request(conn: sqlite3.Connection, *, now: int) -> int:
    """Add a request to refresh all accounts; returns its id."""
    with transaction(conn):
        return conn.execute(ADD, (now,)).lastrowid or 0


def is_answered(conn: sqlite3.Connection, request_id: int) -> bool:
    """Return whether a request is answered."""
    return bool(conn.execute(IS_ANSWERED, (request_id,)).fetchone()[0])


def open_requests(conn: sqlite3.Connection) -> list[RefreshRequest]:
    """Return the requests without an answer."""
    return [RefreshRequest(*row) for row in conn.execute(OPEN)]


def answer_requests(conn: sqlite3.Connection, outcomes: Mapping[int, str], *, now: int) -> None:
    """Answer requests, each with its outcome as text."""
    with transaction(conn):
        for request_id, outcome in outcomes.items():
            conn.execute(ANSWER, {"id": request_id, "outcome": outcome, "now": now})


@dataclass(slots=True)
class Progress:
    """One open request, about one account or all: replies of proxies, and accounts by outcome."""

    account_id: int | None
    replied: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    outcomes: dict[int, str] = field(default_factory=dict)

    def concerns(self, account_id: int) -> bool:
        """Return whether the request is about an account."""
        return self.account_id in (None, account_id)

    def add(self, account_id: int, obstacle: str | None) -> None:
        """Add a poller's reply about an account: None means that it will poll it."""
        has_outcome = self.outcomes.get(account_id, NO_CREDENTIAL) != NO_CREDENTIAL
        if account_id in self.waiting or has_outcome:
            return
        if obstacle is None:
            self.outcomes.pop(account_id, None)
            self.waiting.add(account_id)
        else:
            self.outcomes[account_id] = obstacle

    def outcome(self) -> str:
        """Return the outcome in one line."""
        counts = Counter(self.outcomes.values()) or Counter([NO_CREDENTIAL])
        return ", ".join(f"{counts[word]} {word}" for word in OUTCOMES if counts[word])


class RefreshProgress:
    """The progress of all open requests; callers that reply or answer hold `lock`."""

    def __init__(self, accounts: Mapping[int, Iterable[int]]) -> None:
        self.lock = RLock()
        self._accounts = {proxy_id: set(ids) for proxy_id, ids in accounts.items()}
        self._listed: set[int] = set()
        self._away: set[int] = set()
        self._open: dict[int, Progress] = {}

    def set_accounts(self, proxy_id: int, accounts: Iterable[int]) -> None:
        """Set the accounts that a proxy lists now."""
        with self.lock:
            self._accounts[proxy_id] = set(accounts)
            self._listed.add(proxy_id)
            self._away.discard(proxy_id)

    def set_away(self, proxy_id: int) -> None:
        """Mark a proxy as away: its accounts cannot be polled now."""
        with self.lock:
            self._away.add(proxy_id)

    def has_reply(self, request_id: int, proxy_id: int) -> bool:
        """Return whether the poller of a proxy has replied to a request."""
        return request_id in self._open and proxy_id in self._open[request_id].replied

    def reply(
        self, request: RefreshRequest, proxy_id: int, obstacles: Mapping[int, str | None]
    ) -> None:
        """Add a poller's reply: why it cannot poll each concerned account, or None if it will."""
        with self.lock:
            progress = self._open.setdefault(request.id, Progress(request.account_id))
            progress.replied.add(proxy_id)
            for account_id, obstacle in obstacles.items():
                progress.add(account_id, obstacle)

    def is_requested(self, account_id: int) -> bool:
        """Return whether a request waits for an account."""
        with self.lock:
            return any(account_id in progress.waiting for progress in self._open.values())

    def record_poll(self, account_id: int, *, worked: bool) -> None:
        """Record that an account was polled."""
        with self.lock:
            for progress in self._open.values():
                if account_id in progress.waiting:
                    progress.waiting.discard(account_id)
                    progress.outcomes[account_id] = REFRESHED if worked else FAILED

    def pop_finished(self) -> dict[int, str]:
        """Remove the finished requests and return the outcome of each."""
        with self.lock:
            finished = {
                request_id: progress.outcome()
                for request_id, progress in self._open.items()
                if self._is_finished(progress)
            }
            for request_id in finished:
                del self._open[request_id]
            return finished

    def _is_finished(self, progress: Progress) -> bool:
        """Return whether no reply and no poll is missing, of the proxies that are there now."""
        present = self._accounts_of(self._accounts.keys() - self._away)
        absent = self._accounts_of(self._away) - present
        for account_id in progress.waiting - present:
            progress.outcomes[account_id] = FAILED if account_id in absent else NO_CREDENTIAL
        progress.waiting &= present
        if progress.waiting or not self._expected_replies(progress) <= progress.replied:
            return False
        for account_id in filter(progress.concerns, absent):
            progress.outcomes.setdefault(account_id, FAILED)
        return True

    def _expected_replies(self, progress: Progress) -> set[int]:
        """Return the proxies whose reply a request needs."""
        proxies = set(self._accounts)
        if progress.account_id is not None:
            listing = {id_ for id_ in proxies if progress.account_id in self._accounts[id_]}
            # Where no proxy lists the account, one that has not listed its accounts yet may do so.
            proxies = listing or proxies - self._listed
        return proxies - self._away

    def _accounts_of(self, proxies: Iterable[int]) -> set[int]:
        return {account for proxy_id in proxies for account in self._accounts[proxy_id]}
