"""The rules of "usable now": each names its reason or has none; refusals come before doubts."""

from collections.abc import Callable

from quota.case import Case
from quota.standing import is_spent, left

CLOSED = ("needs_login", "deactivated")
# The account may well work, but what is stored about it is no ground for saying so.
DOUBTFUL = ("wrong_workspace", "auth_error")


def closed(case: Case) -> str | None:
    """Refuse what its owner disabled or only its owner can open again."""
    if case.account.disabled:
        return "disabled"
    return case.account.state if case.account.state in CLOSED else None


def exhausted(case: Case) -> str | None:
    """Refuse until the end that a refused generation announced."""
    account = case.account
    if account.exhausted_until is None or account.exhausted_until <= case.now:
        return None
    seen = [account.observed_at or 0, *(w.observed_at for w in case.windows)]
    # Whatever was observed after the refusal knows better.
    newer = account.exhausted_at is not None and max(seen) > account.exhausted_at
    return None if newer else "usage_limit_reached"


def _told(case: Case) -> str | None:
    account = case.account
    if account.reached_type and account.allowed is not True:
        return account.reached_type
    if account.limit_reached:
        return "limit_reached"
    return "not_allowed" if account.allowed is False else None


def _refused(case: Case) -> str | None:
    if case.blocking():
        return _told(case)
    # Without a window that explains them, flags stand only while fresh and unexplained.
    lifted = any(is_spent(w, case.windows) for w in case.windows)
    return None if lifted or case.is_old(case.account.observed_at) else _told(case)


def _spent(case: Case) -> str | None:
    accused = case.accused()
    if any(w.scope == "spend" for w in accused):
        return "spend_reached"
    covered = any(w.used_percent is None or w.used_percent < 100 for w in case.overage)
    return "window_spent" if accused and not covered else None


def _doubtful(case: Case) -> str | None:
    if case.account.state in DOUBTFUL:
        return case.account.state
    if _told(case):
        return "stale" if case.is_old(case.account.observed_at) else "rolled_over"
    open_budget = any((left(w, case.now) or 0) > 0 for w in case.overage)
    return "overage_unknown" if case.accused() and not open_budget else None


def _unknown(case: Case) -> str | None:
    if not case.windows:
        return "no_limit_published" if case.account.state == "ok" else case.account.state
    current = case.current()
    if not current:
        return "rolled_over"
    blind = [w for w in current if left(w, case.now) is None]
    permitted = case.account.allowed is True
    return "percent_unknown" if blind and (len(blind) == len(current) or not permitted) else None


def _stale(case: Case) -> str | None:
    known = [w.observed_at for w in case.current() if w.used_percent is not None]
    return "stale" if case.is_old(min(known, default=None)) else None


Rule = Callable[[Case], str | None]
REFUSALS: tuple[Rule, ...] = (closed, exhausted, _refused, _spent)
DOUBTS: tuple[Rule, ...] = (_doubtful, _unknown, _stale)
