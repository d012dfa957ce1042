"""The verdict of an account: usable now, yes, no or unknown, with the reason and what is left.

Refusals count first, then the provider's own flags, then every gating window. A blocked window
blocks until it resets, whatever the others have left. Without a recent value the verdict is not
yes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from quota.model import Account, Refusal, Window
from quota.refusals import is_lifted, is_over, is_unconfirmed

STALE_MS = 3_600_000
# A provider may need a moment after a reset before it answers again.
GRACE_MS = 120_000
CLOSED = ("needs_login", "deactivated")
# The account may work, but its stored values do not prove it.
DOUBTFUL = ("wrong_workspace", "auth_error")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Usable now (None is unknown), why, percent left, and when it may be usable again."""

    usable: bool | None
    reason: str
    effective_left: float | None = None
    next_usable_at: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stored values that a verdict is decided from, and the instant of the verdict."""

    account: Account
    windows: Sequence[Window]
    now: int
    stale_ms: int = STALE_MS
    refusals: Sequence[Refusal] = ()


def account_verdict(
    account: Account,
    windows: Iterable[Window],
    *,
    now: int,
    stale_ms: int = STALE_MS,
    refusals: Iterable[Refusal] = (),
) -> Verdict:
    """Return the verdict of an account: the best of its groups, where it has groups."""
    evidence = Evidence(account, list(windows), now, stale_ms, list(refusals))
    return best(decide(evidence).values())


def group_verdicts(
    account: Account,
    windows: Iterable[Window],
    *,
    now: int,
    stale_ms: int = STALE_MS,
    refusals: Iterable[Refusal] = (),
) -> dict[str, Verdict]:
    """Return the verdict of each group of models; an account without groups is one, named ""."""
    return decide(Evidence(account, list(windows), now, stale_ms, list(refusals)))


def decide(evidence: Evidence) -> dict[str, Verdict]:
    """Return the verdict of each group of models, "" for an account without groups."""
    return {group: _verdict(state) for group, state in account_states(evidence).items()}


def account_states(evidence: Evidence) -> dict[str, "AccountState"]:
    """Return the state of each group of models, from which its verdict is decided."""
    gating = [w for w in evidence.windows if w.gating]
    groups = {w.scope_key for w in gating if w.scope == "group"}
    groups |= {r.scope_key for r in evidence.refusals if r.scope == "group"}
    return {
        group: AccountState(
            evidence.account,
            _windows_of(gating, group),
            [w for w in evidence.windows if w.scope == "spend" and not w.gating],
            [r for r in evidence.refusals if r.scope != "group" or r.scope_key == group],
            evidence.now,
            evidence.stale_ms,
        )
        for group in sorted(groups) or [""]
    }


def best(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the best of several verdicts."""
    return min(verdicts, key=rank)


def sort_key(verdict: Verdict, state: str) -> tuple[int, float]:
    """Return a sort key: usable by most left, blocked by earliest next use, the rest last."""
    is_closed = state == "token_expired" or verdict.reason in ("disabled", *CLOSED)
    if is_closed or verdict.usable is None:
        return 2, 0
    if verdict.usable:
        return 0, -(verdict.effective_left or 0)
    return 1, float("inf") if verdict.next_usable_at is None else verdict.next_usable_at


def rank(verdict: Verdict) -> tuple[int, float, float]:
    """Return a sort key of an account's groups: the best first."""
    return (True, None, False).index(verdict.usable), *sort_key(verdict, "ok")


def is_rolled_over(window: Window, now: int) -> bool:
    """Return whether a window has reset since its observation, so that its percentage is void."""
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


def serves_credits(account: Account) -> bool:
    """Return whether the account's own credits are served after its windows."""
    if account.credits_overage_reached:
        return False
    balance = account.credits_balance
    has_balance = bool(account.credits_has) and (balance is None or Decimal(balance) > 0)
    return bool(account.credits_unlimited) or has_balance


def is_open(budget: Window, now: int) -> bool | None:
    """Return whether a budget still pays; None when its use is unknown."""
    if budget.limit_reached:
        return False
    if budget.used_percent is None:
        # A budget with an amount but without a limit has no cap.
        return True if budget.used_value is not None and budget.limit_value is None else None
    remaining = left(budget, now)
    return None if remaining is None else remaining > 0


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account at one moment, with the gating windows, budgets and refusals that count."""

    account: Account
    windows: Sequence[Window]
    overage: Sequence[Window]
    refusals: Sequence[Refusal]
    now: int
    stale_ms: int

    def blocking(self) -> list[Window]:
        """Return the windows that are used up and have not reset."""
        return [w for w in self.windows if is_blocking(w, self.windows, now=self.now)]

    def current(self) -> list[Window]:
        """Return the windows whose percentage still applies."""
        return [w for w in self.windows if not is_rolled_over(w, self.now)]

    def refusals_in_force(self) -> list[Refusal]:
        """Return the refusals of the account or group that apply, confirmed or not."""
        return [
            r
            for r in self.refusals
            if r.scope != "overage"
            and not is_over(r, self.now)
            and not is_lifted(r, self.account, self.windows, serves_overage=self.serves_overage())
        ]

    def serves_overage(self) -> bool:
        """Return whether credits or a budget are known to pay for what the windows do not."""
        credits = serves_credits(self.account) and all(w.scope != "group" for w in self.windows)
        budgets = any(is_open(w, self.now) for w in self.overage)
        return (credits or budgets) and not self.overage_refused()

    def overage_refused(self) -> bool:
        """Return whether the provider has refused overage recently."""
        return any(
            r.scope == "overage" and not is_over(r, self.now) and not is_unconfirmed(r, self.now)
            for r in self.refusals
        )

    def overage_unknown(self) -> bool:
        """Return whether there is a budget that may pay, and whose use is unknown."""
        return not self.overage_refused() and any(
            is_open(w, self.now) is None for w in self.overage
        )

    def blocking_without_permission(self) -> list[Window]:
        """Return the blocking windows without a later permission, which spend always is."""
        permitted_at = self.account.observed_at if self.account.allowed is True else None
        return [
            w
            for w in self.blocking()
            if w.scope == "spend" or permitted_at is None or permitted_at < w.observed_at
        ]

    def is_stale(self, observed_at: int | None) -> bool:
        """Return whether an observation is too old for a verdict of yes."""
        return observed_at is None or self.now - observed_at > self.stale_ms


def _closed(state: AccountState) -> str | None:
    """Return the reason of an account that is disabled, or that needs an action of its owner."""
    if state.account.disabled:
        return "disabled"
    return state.account.state if state.account.state in CLOSED else None


def _refused(state: AccountState) -> str | None:
    """Return the reason of the newest refusal that still applies."""
    in_force = [r for r in state.refusals_in_force() if not is_unconfirmed(r, state.now)]
    return max(in_force, key=lambda r: r.refused_at).reason if in_force else None


def _forbidden(state: AccountState) -> str | None:
    """Return the reason of the provider's flags, if a window explains them or they are recent."""
    if state.blocking():
        return _provider_reason(state)
    # Without a window that explains them, flags count only while they are recent.
    lifted = any(is_spent(w, state.windows) for w in state.windows)
    is_stale = state.is_stale(state.account.observed_at)
    return None if lifted or is_stale else _provider_reason(state)


def _spent(state: AccountState) -> str | None:
    """Return the reason of spent windows that no overage covers."""
    unpermitted = state.blocking_without_permission()
    if any(w.scope == "spend" for w in unpermitted):
        return "spend_reached"
    covered = state.serves_overage() or state.overage_unknown()
    return "window_spent" if unpermitted and not covered else None


def _doubtful(state: AccountState) -> str | None:
    """Return the reason why a state, a refusal or flags are no longer conclusive."""
    if state.account.state in DOUBTFUL:
        return state.account.state
    if state.refusals_in_force():
        return "refused_earlier"
    if _provider_reason(state):
        return "stale" if state.is_stale(state.account.observed_at) else "rolled_over"
    return (
        "overage_unknown"
        if state.blocking_without_permission() and not state.serves_overage()
        else None
    )


def _unknown(state: AccountState) -> str | None:
    """Return the reason of an account without a window, or without a valid percentage."""
    if not state.windows:
        return None if _pays_without_windows(state) else _without_windows(state)
    current = state.current()
    if not current:
        return "rolled_over"
    unknown = [w for w in current if left(w, state.now) is None]
    permitted = state.account.allowed is True
    is_unknown = unknown and (len(unknown) == len(current) or not permitted)
    return "percent_unknown" if is_unknown else None


def _pays_without_windows(state: AccountState) -> bool:
    """Return whether an account without limits is allowed, or has credits or a budget."""
    return state.account.allowed is True or state.serves_overage()


def _without_windows(state: AccountState) -> str:
    return "no_limit_published" if state.account.state == "ok" else state.account.state


def _stale(state: AccountState) -> str | None:
    """Return the reason of values that are too old."""
    if not state.windows:
        return "stale" if state.is_stale(state.account.observed_at) else None
    observed = [w.observed_at for w in state.current() if w.used_percent is not None]
    return "stale" if state.is_stale(min(observed, default=None)) else None


# Each rule returns its reason or None; refusals are applied before doubts.
Rule = Callable[[AccountState], str | None]
REFUSALS: tuple[Rule, ...] = (_closed, _refused, _forbidden, _spent)
DOUBTS: tuple[Rule, ...] = (_doubtful, _unknown, _stale)


def _verdict(state: AccountState) -> Verdict:
    remaining = [left(w, state.now) for w in state.windows]
    remaining += [0.0 for w in state.blocking() if w.used_percent is None]
    least = min((value for value in remaining if value is not None), default=None)
    for rule in REFUSALS:
        if reason := rule(state):
            # A disabled account shows its next reset; others need an action of their owner.
            is_closed = rule is _closed and reason != "disabled"
            until = None if is_closed else _next_usable_at(state)
            return Verdict(False, reason, least, until)
    reasons = filter(None, (rule(state) for rule in DOUBTS))
    if reason := next(reasons, None):
        return Verdict(None, reason, least)
    return Verdict(True, _permission(state), least)


def _permission(state: AccountState) -> str:
    """Return why an account is usable."""
    account = state.account
    if state.blocking() and (state.blocking_without_permission() or state.serves_overage()):
        return "overage"
    if not state.windows and state.serves_overage() and account.allowed is None:
        return "unlimited" if account.credits_unlimited else "credits"
    return "allowed" if account.allowed else "within_limits"


def _provider_reason(state: AccountState) -> str | None:
    account = state.account
    if account.reached_type and account.allowed is not True:
        return account.reached_type
    if account.limit_reached:
        return "limit_reached"
    return "not_allowed" if account.allowed is False else None


def _next_usable_at(state: AccountState) -> int | None:
    ends = [w.resets_at for w in state.blocking()]
    ends += [r.ends_at for r in state.refusals_in_force()]
    # The last of the blocks decides, and one without an end leaves the end unknown.
    future = [end for end in ends if end is not None and end > state.now]
    return max(future) if future and len(future) == len(ends) else None


def _windows_of(gating: list[Window], group: str) -> list[Window]:
    """Return the windows of a group, and those that all groups share."""
    return [w for w in gating if w.scope != "group" or w.scope_key == group]
