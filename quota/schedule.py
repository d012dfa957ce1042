"""When an account may be asked: rarely, never together, and not at all where it is no use.

Polling a provider's quota has cost people their accounts, so the minimum holds against every
wish. A `retry-after` of zero is what a rate-limited client gets, and is not believed.
"""

from collections.abc import Callable
from typing import NamedTuple

from quota.model import TERMINAL, Reading

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
MINIMUM_MS = {"claude": 3 * MINUTE}
OTHERS_MINIMUM_MS = MINUTE
# States that another try cures only by chance: from the interval on, twice as long each time.
BACKING_OFF = {
    "rate_limited": 4 * HOUR,
    "auth_error": 4 * HOUR,
    "wrong_workspace": 4 * HOUR,
    "token_expired": HOUR,
    "blocked_network": HOUR,
    "bad_response": HOUR,
    "unavailable": HOUR,
}
PROBE_MS = 6 * HOUR
JITTER = 0.1
TURN_MS = 10_000

Chance = Callable[[float, float], float]


class Standing(NamedTuple):
    """What the ledger knows of an account's last polls.

    `elsewhere` is how many credentials other proxies have for it.
    """

    account_id: int
    state: str = "never"
    fingerprint: str | None = None
    last_attempt_at: int | None = None
    next_attempt_at: int | None = None
    consecutive_failures: int = 0
    plan_asked_at: int | None = None
    elsewhere: int = 0


class Now(NamedTuple):
    """What a credential is like now, at an instant; the fingerprint begins with who is asking."""

    at: int
    provider: str
    source: str
    fingerprint: str
    credentials: int = 1


def minimum(provider: str) -> int:
    """Return the shortest time (ms) between two polls of an account."""
    return MINIMUM_MS.get(provider, OTHERS_MINIMUM_MS)


def is_due(known: Standing, now: Now, *, wanted: bool = False) -> bool:
    """Tell whether an account may and should be asked now; `wanted` means that a person asks."""
    if is_too_soon(known, now):
        return False
    if wanted or known.last_attempt_at is None or _is_new(known, now) or _is_next(known, now):
        return True
    due_at = known.next_attempt_at
    return due_at is None or now.at >= due_at + (TURN_MS if _gives_way(known, now) else 0)


def is_too_soon(known: Standing, now: Now) -> bool:
    """Tell whether an account was asked so recently that nobody may ask again."""
    last = known.last_attempt_at
    # A clock that was set back must not silence an account for long.
    return last is not None and 0 <= now.at - last < minimum(now.provider)


def next_attempt(
    known: Standing, now: Now, reading: Reading, *, refresh_ms: int, chance: Chance
) -> int:
    """Return the instant from which an account is due again; `chance` draws between two numbers."""
    interval = max(refresh_ms, minimum(now.provider))
    state = reading.state or ""
    failures = known.consecutive_failures
    wait: float = interval
    if state in TERMINAL:
        # Each of several credentials of an account gets its try before the long rest.
        wait = PROBE_MS if failures + 1 >= now.credentials else interval
    elif state in BACKING_OFF:
        wait = min(interval * 2.0 ** min(failures, 20), max(interval, BACKING_OFF[state]))
    # The minimum is for sure, and jitter on both sides keeps the average.
    wait = max(wait * chance(1 - JITTER, 1 + JITTER), minimum(now.provider))
    return now.at + round(wait)


def asker(of: Standing | Now) -> str:
    """Give who asks, or asked last: the first word of the fingerprint."""
    return (of.fingerprint or "").partition(" ")[0]


def _is_next(known: Standing, now: Now) -> bool:
    """Tell whether another proxy's login is over, and this one's was not tried since."""
    is_over = known.elsewhere and known.state in TERMINAL and asker(known) != asker(now)
    return bool(is_over) and known.consecutive_failures < now.credentials


def _gives_way(known: Standing, now: Now) -> bool:
    """Tell whether another proxy's credential has its turn, since this one's has just failed."""
    has_failed = bool(known.elsewhere and known.consecutive_failures)
    return has_failed and asker(known) == asker(now)


def _is_new(known: Standing, now: Now) -> bool:
    # What another source or proxy called the same file says nothing.
    return asker(known) == asker(now) and known.fingerprint != now.fingerprint
