"""The verdict of an account: usable now, yes, no or unknown, with the reason and what is left.

The provider's own flags count first, then every gating window. A blocked window blocks until it
resets, whatever the others have left. Without a recent value the verdict is never yes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from quota.model import Account, Window

STALE_MS = 3_600_000
# A provider may need a moment after a reset before it answers again.
GRACE_MS = 120_000
CLOSED = ("needs_login", "deactivated")
# The account may well work, but its stored values are no ground for a yes.
DOUBTFUL = ("wrong_workspace", "auth_error")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Usable now (None is unknown), why, percent left, and when it may be usable again."""

    usable: bool | None
    reason: str
    effective_left: float | None = None
    next_usable_at: int | None = None


def account_verdict(
    account: Account, windows: Iterable[Window], *, now: int, stale_ms: int = STALE_MS
) -> Verdict:
    """Return the verdict of an account: the best of its groups, where it has groups."""
    return min(group_verdicts(account, windows, now=now, stale_ms=stale_ms).values(), key=_rank)


def group_verdicts(
    account: Account, windows: Iterable[Window], *, now: int, stale_ms: int = STALE_MS
) -> dict[str, Verdict]:
    """Return the verdict of each group of models; an account without groups is one, named ""."""
    windows = list(windows)
    gating = [w for w in windows if w.gating]
    overage = [w for w in windows if w.scope == "spend" and not w.gating]
    groups = sorted({w.scope_key for w in gating if w.scope == "group"}) or [""]
    return {
        group: _verdict(AccountState(account, _windows_of(gating, group), overage, now, stale_ms))
        for group in groups
    }


def sort_key(verdict: Verdict, state: str) -> tuple[int, float]:
    """Return a sort key: usable by most left, blocked by earliest next use, the rest last."""
    is_closed = state == "token_expired" or verdict.reason in ("disabled", *CLOSED)
    if is_closed or verdict.usable is None:
        return 2, 0
    if verdict.usable:
        return 0, -(verdict.effective_left or 0)
    return 1, float("inf") if verdict.next_usable_at is None else verdict.next_usable_at


def is_rolled_over(window: Window, now: int) -> bool:
    """Return whether a window has reset since: its percentage no longer applies."""
    return window.resets_at is not None and window.resets_at <= now


def left(window: Window, now: int) -> float | None:
    """Return the percentage left, 0 to 100; None when unknown or rolled over."""
    if window.used_percent is None or is_rolled_over(window, now):
        return None
    return min(max(100 - window.used_percent, 0.0), 100.0)


def left_per_hour(window: Window, now: int) -> float | None:
    """Return percent left per hour until the reset: the higher, the sooner it is lost unused."""
    remaining = left(window, now)
    if remaining is None or window.resets_at is None:
        return None
    return remaining / ((window.resets_at - now) / 3_600_000)


def is_spent(window: Window, siblings: Sequence[Window]) -> bool:
    """Return whether a window is used up, by its percentage or as its limit's only candidate.

    A limit's reached flag is set on all its windows, so it counts only where there is one.
    """
    if window.used_percent is not None and window.used_percent >= 100:
        return True
    limit = (window.scope, window.scope_key)
    return [w for w in siblings if w.limit_reached and (w.scope, w.scope_key) == limit] == [window]


def is_blocking(window: Window, siblings: Sequence[Window], *, now: int) -> bool:
    """Return whether a window is used up and has not reset, with two minutes of grace."""
    has_reset = window.resets_at is not None and window.resets_at + GRACE_MS <= now
    return is_spent(window, siblings) and not has_reset


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account at one moment, with the gating windows and budgets that its verdict rests on."""

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

    def unexcused(self) -> list[Window]:
        """Return the blocking windows without a later permission; spend is never excused."""
        permitted_at = self.account.observed_at if self.account.allowed is True else None
        return [
            w
            for w in self.blocking()
            if w.scope == "spend" or permitted_at is None or permitted_at < w.observed_at
        ]

    def is_stale(self, observed_at: int | None) -> bool:
        """Return whether an observation is too old for a yes."""
        return observed_at is None or self.now - observed_at > self.stale_ms


def _closed(state: AccountState) -> str | None:
    """Refuse an account that its owner disabled, or that only its owner can open again."""
    if state.account.disabled:
        return "disabled"
    return state.account.state if state.account.state in CLOSED else None


def _exhausted(state: AccountState) -> str | None:
    """Refuse until the end that a refused generation announced."""
    account = state.account
    if account.exhausted_until is None or account.exhausted_until <= state.now:
        return None
    observed = [account.observed_at or 0, *(w.observed_at for w in state.windows)]
    # Any observation after the refusal replaces it.
    is_replaced = account.exhausted_at is not None and max(observed) > account.exhausted_at
    return None if is_replaced else "usage_limit_reached"


def _refused(state: AccountState) -> str | None:
    """Refuse by the provider's flags, where a window explains them or they are fresh."""
    if state.blocking():
        return _provider_reason(state)
    # Without a window that explains them, flags count only while they are fresh.
    lifted = any(is_spent(w, state.windows) for w in state.windows)
    is_stale = state.is_stale(state.account.observed_at)
    return None if lifted or is_stale else _provider_reason(state)


def _spent(state: AccountState) -> str | None:
    """Refuse by spent windows that no overage covers."""
    unexcused = state.unexcused()
    if any(w.scope == "spend" for w in unexcused):
        return "spend_reached"
    covered = any(w.used_percent is None or w.used_percent < 100 for w in state.overage)
    return "window_spent" if unexcused and not covered else None


def _doubtful(state: AccountState) -> str | None:
    """Doubt a state or flags that no longer say whether the account works."""
    if state.account.state in DOUBTFUL:
        return state.account.state
    if _provider_reason(state):
        return "stale" if state.is_stale(state.account.observed_at) else "rolled_over"
    has_budget = any((left(w, state.now) or 0) > 0 for w in state.overage)
    return "overage_unknown" if state.unexcused() and not has_budget else None


def _unknown(state: AccountState) -> str | None:
    """Doubt an account without a window, or without a percentage that applies."""
    if not state.windows:
        return "no_limit_published" if state.account.state == "ok" else state.account.state
    current = state.current()
    if not current:
        return "rolled_over"
    unknown = [w for w in current if left(w, state.now) is None]
    permitted = state.account.allowed is True
    is_unknown = unknown and (len(unknown) == len(current) or not permitted)
    return "percent_unknown" if is_unknown else None


def _stale(state: AccountState) -> str | None:
    """Doubt values that are too old."""
    observed = [w.observed_at for w in state.current() if w.used_percent is not None]
    return "stale" if state.is_stale(min(observed, default=None)) else None


# Each rule returns its reason or None; refusals are applied before doubts.
Rule = Callable[[AccountState], str | None]
REFUSALS: tuple[Rule, ...] = (_closed, _exhausted, _refused, _spent)
DOUBTS: tuple[Rule, ...] = (_doubtful, _unknown, _stale)


def _verdict(state: AccountState) -> Verdict:
    remaining = [left(w, state.now) for w in state.windows]
    remaining += [0.0 for w in state.blocking() if w.used_percent is None]
    least = min((value for value in remaining if value is not None), default=None)
    for rule in REFUSALS:
        if reason := rule(state):
            until = None if rule is _closed else _next_usable_at(state)
            return Verdict(False, reason, least, until)
    reasons = filter(None, (rule(state) for rule in DOUBTS))
    if reason := next(reasons, None):
        return Verdict(None, reason, least)
    permitted = "allowed" if state.account.allowed else "within_limits"
    return Verdict(True, "overage" if state.unexcused() else permitted, least)


def _provider_reason(state: AccountState) -> str | None:
    account = state.account
    if account.reached_type and account.allowed is not True:
        return account.reached_type
    if account.limit_reached:
        return "limit_reached"
    return "not_allowed" if account.allowed is False else None


def _next_usable_at(state: AccountState) -> int | None:
    ends = [w.resets_at for w in state.blocking()]
    if _exhausted(state):
        ends.append(state.account.exhausted_until)
    # The last of the blocks decides, and one without an end leaves the end unknown.
    future = [end for end in ends if end is not None and end > state.now]
    return max(future) if future and len(future) == len(ends) else None


def _windows_of(gating: list[Window], group: str) -> list[Window]:
    """Return the windows of a group, and those that all groups share."""
    return [w for w in gating if w.scope != "group" or w.scope_key == group]


def _rank(verdict: Verdict) -> tuple[int, float, float]:
    return (True, None, False).index(verdict.usable), *sort_key(verdict, "ok")
