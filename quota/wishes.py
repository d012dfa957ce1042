"""Requests to refresh now: which accounts each waits for, and what came of it.

The pollers of all proxies share them. Each says what it knows of a request, which is over when
nobody is left to be heard or asked, and a proxy that is away keeps none of them waiting.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import RLock

REFRESHED, FAILED, TOO_SOON = "refreshed", "failed", "asked too recently"
NOTHING = "without anything to ask"
WORDS = (REFRESHED, FAILED, TOO_SOON, NOTHING)


@dataclass(slots=True)
class Progress:
    """One request under way, about one account or all: who was heard, and what came of whom."""

    account_id: int | None
    heard: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    came: dict[int, str] = field(default_factory=dict)

    def is_about(self, account_id: int) -> bool:
        """Tell whether an account is asked for."""
        return self.account_id in (None, account_id)

    def take(self, account_id: int, told: str | None) -> None:
        """Note what a poller says of an account: None is that it will ask it."""
        if account_id in self.waiting or self.came.get(account_id, NOTHING) != NOTHING:
            return
        if told is None:
            self.came.pop(account_id, None)
            self.waiting.add(account_id)
        else:
            self.came[account_id] = told

    def outcome(self) -> str:
        """Say in one line what came of it."""
        counts = Counter(self.came.values()) or Counter([NOTHING])
        return ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word])


class Wishes:
    """All requests under way; whoever hears or answers them holds the `lock` meanwhile."""

    def __init__(self, members: Mapping[int, Iterable[int]]) -> None:
        self.lock = RLock()
        self._members = {proxy_id: set(accounts) for proxy_id, accounts in members.items()}
        self._looked: set[int] = set()
        self._away: set[int] = set()
        self._open: dict[int, Progress] = {}

    def lists(self, proxy_id: int, accounts: Iterable[int]) -> None:
        """Note which accounts a proxy lists now."""
        with self.lock:
            self._members[proxy_id] = set(accounts)
            self._looked.add(proxy_id)
            self._away.discard(proxy_id)

    def away(self, proxy_id: int) -> None:
        """Note that a proxy's accounts cannot be asked now."""
        with self.lock:
            self._away.add(proxy_id)

    def is_heard(self, wish_id: int, proxy_id: int) -> bool:
        """Tell whether the poller of a proxy has said what it knows of a request."""
        return wish_id in self._open and proxy_id in self._open[wish_id].heard

    def hear(
        self, wish_id: int, proxy_id: int, told: Mapping[int, str | None], *, about: int | None
    ) -> None:
        """Take what the poller of a proxy says of each of its accounts that are asked for."""
        with self.lock:
            progress = self._open.setdefault(wish_id, Progress(about))
            progress.heard.add(proxy_id)
            for account_id, words in told.items():
                progress.take(account_id, words)

    def is_wanted(self, account_id: int) -> bool:
        """Tell whether a request waits for an account."""
        with self.lock:
            return any(account_id in progress.waiting for progress in self._open.values())

    def asked(self, account_id: int, *, worked: bool) -> None:
        """Note that an account was asked."""
        with self.lock:
            for progress in self._open.values():
                if account_id in progress.waiting:
                    progress.waiting.discard(account_id)
                    progress.came[account_id] = REFRESHED if worked else FAILED

    def done(self) -> dict[int, str]:
        """Remove the finished requests and give what came of each."""
        with self.lock:
            over = {id_: one.outcome() for id_, one in self._open.items() if self._is_over(one)}
            for wish_id in over:
                del self._open[wish_id]
            return over

    def _is_over(self, progress: Progress) -> bool:
        """Tell whether nobody is left to be heard or asked, after a look at who is there."""
        present = self._accounts(self._members.keys() - self._away)
        absent = self._accounts(self._away) - present
        for account_id in progress.waiting - present:
            progress.came[account_id] = FAILED if account_id in absent else NOTHING
        progress.waiting &= present
        if progress.waiting or not self._awaited(progress) <= progress.heard:
            return False
        for account_id in filter(progress.is_about, absent):
            progress.came.setdefault(account_id, FAILED)
        return True

    def _awaited(self, progress: Progress) -> set[int]:
        """Give the proxies that have something to say of a request."""
        everyone = set(self._members)
        if progress.account_id is not None:
            having = {id_ for id_ in everyone if progress.account_id in self._members[id_]}
            # Where nobody is known to list an account, whoever has not looked yet may.
            everyone = having or everyone - self._looked
        return everyone - self._away

    def _accounts(self, proxies: Iterable[int]) -> set[int]:
        return {account for proxy_id in proxies for account in self._members[proxy_id]}
