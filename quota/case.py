"""One account at one moment: what the rules of "usable now" look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from quota.model import Account, Window
from quota.standing import is_blocking, is_rolled_over


@dataclass(frozen=True, slots=True)
class Case:
    """One account at one moment, with the gating windows it is judged by."""

    account: Account
    windows: Sequence[Window]
    overage: Sequence[Window]
    now: int
    stale_ms: int

    def blocking(self) -> list[Window]:
        """Return the windows that are used up and have not reset."""
        return [w for w in self.windows if is_blocking(w, self.windows, now=self.now)]

    def current(self) -> list[Window]:
        """Return the windows whose percentage still applies."""
        return [w for w in self.windows if not is_rolled_over(w, self.now)]

    def is_old(self, observed_at: int | None) -> bool:
        """Tell whether an observation is too old to say yes by."""
        return observed_at is None or self.now - observed_at > self.stale_ms

    def accused(self) -> list[Window]:
        """Return the blocking windows that no later permission excuses; spend is never excused."""
        permitted = self.account.observed_at if self.account.allowed is True else None
        return [
            w
            for w in self.blocking()
            if w.scope == "spend" or permitted is None or permitted < w.observed_at
        ]
