"""Can an account be used now: yes, no or unknown, with the reason, what is left and until when.

The provider's own flags count first, then every gating window. A blocked window blocks until it
resets, whatever the others have left. Nothing recent or nothing known is never a yes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from quota.case import Case
from quota.model import Account, Window
from quota.rules import CLOSED, DOUBTS, REFUSALS, closed, exhausted
from quota.standing import left

STALE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Usable now (None is unknown), why, percent left, and when it may be usable again."""

    usable: bool | None
    reason: str
    effective_left: float | None = None
    next_usable_at: int | None = None


def verdict(
    account: Account, windows: Iterable[Window], *, now: int, stale_ms: int = STALE_MS
) -> Verdict:
    """Judge an account as a whole: as good as the best of its groups, where it has groups."""
    return min(verdicts(account, windows, now=now, stale_ms=stale_ms).values(), key=_badness)


def verdicts(
    account: Account, windows: Iterable[Window], *, now: int, stale_ms: int = STALE_MS
) -> dict[str, Verdict]:
    """Judge each group of models by itself; an account without groups is one, named ""."""
    windows = list(windows)
    gating = [w for w in windows if w.gating]
    overage = [w for w in windows if w.scope == "spend" and not w.gating]
    groups = sorted({w.scope_key for w in gating if w.scope == "group"}) or [""]
    return {
        name: _judged(Case(account, _shared_or_of(gating, name), overage, now, stale_ms))
        for name in groups
    }


def order(found: Verdict, state: str) -> tuple[int, float]:
    """Return a sort key: usable by most left, blocked by soonest return, the rest last."""
    if state == "token_expired" or found.reason in ("disabled", *CLOSED) or found.usable is None:
        return 2, 0
    if found.usable:
        return 0, -(found.effective_left or 0)
    return 1, float("inf") if found.next_usable_at is None else found.next_usable_at


def _shared_or_of(gating: list[Window], group: str) -> list[Window]:
    return [w for w in gating if w.scope != "group" or w.scope_key == group]


def _badness(found: Verdict) -> tuple[int, float, float]:
    return (True, None, False).index(found.usable), *order(found, "ok")


def _judged(case: Case) -> Verdict:
    blocking = case.blocking()
    lefts = [left(w, case.now) for w in case.windows]
    lefts += [0.0 for w in blocking if w.used_percent is None]
    least = min((found for found in lefts if found is not None), default=None)
    for rule in REFUSALS:
        if reason := rule(case):
            return Verdict(False, reason, least, None if rule is closed else _until(case))
    reasons = filter(None, (rule(case) for rule in DOUBTS))
    if reason := next(reasons, None):
        return Verdict(None, reason, least)
    permitted = "allowed" if case.account.allowed else "within_limits"
    return Verdict(True, "overage" if case.accused() else permitted, least)


def _until(case: Case) -> int | None:
    ends = [w.resets_at for w in case.blocking()]
    if exhausted(case):
        ends.append(case.account.exhausted_until)
    # The last of the blocks decides, and one without an end leaves the end unknown.
    known = [end for end in ends if end is not None and end > case.now]
    return max(known) if known and len(known) == len(ends) else None
