"""Requests to refresh now: which accounts each waits for, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """One request under way."""

    waiting: set[int]
    too_soon: int = 0
    not_askable: int = 0
    refreshed: int = 0
    failed: int = 0

    def outcome(self) -> str:
        """Say in one line what came of it."""
        counts = {
            "refreshed": self.refreshed,
            "failed": self.failed,
            "asked too recently": self.too_soon,
            "without anything to ask": self.not_askable,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"


@dataclass(slots=True)
class Wishes:
    """All requests under way, by id."""

    open: dict[int, Progress] = field(default_factory=dict)

    def begin(self, wish_id: int, askable: Sequence[int], *, soon: Iterable[int], of: int) -> None:
        """Take up a request about `of` accounts, of which some may be asked, but not too soon."""
        too_soon = set(soon)
        self.open[wish_id] = Progress(
            waiting=set(askable) - too_soon,
            too_soon=len(too_soon),
            not_askable=of - len(set(askable)),
        )

    def is_wanted(self, account_id: int) -> bool:
        """Tell whether a request waits for an account."""
        return any(account_id in progress.waiting for progress in self.open.values())

    def asked(self, account_id: int, *, worked: bool) -> None:
        """Note that an account was asked."""
        for progress in self.open.values():
            if account_id in progress.waiting:
                progress.waiting.discard(account_id)
                progress.refreshed += worked
                progress.failed += not worked

    def give_up(self, known: Iterable[int]) -> None:
        """Wait no longer for accounts that are gone."""
        for progress in self.open.values():
            gone = progress.waiting - set(known)
            progress.waiting -= gone
            progress.not_askable += len(gone)

    def done(self) -> dict[int, str]:
        """Remove the finished requests and give what came of each."""
        over = {wish_id: p.outcome() for wish_id, p in self.open.items() if not p.waiting}
        for wish_id in over:
            del self.open[wish_id]
        return over
