"""The polling schedule: an account is polled rarely, and not at all while polls cannot help.

Frequent quota polls have cost people their accounts, so the minimum interval also holds for
refresh requests. A `retry-after` of zero is the usual answer to a rate-limited client, and is
ignored.
"""

from collections.abc import Callable
from typing import NamedTuple

from quota.model import MINUTE_MS, TERMINAL, Reading
from quota.providers import PROVIDERS

HOUR_MS = 60 * MINUTE_MS
# The longest interval of states that another poll cures only by chance. The interval starts at
# the refresh interval and doubles with each failure.
MAX_INTERVAL_MS = {
    "rate_limited": 4 * HOUR_MS,
    "auth_error": 4 * HOUR_MS,
    "wrong_workspace": 4 * HOUR_MS,
    "token_expired": HOUR_MS,
    "blocked_network": HOUR_MS,
    "bad_response": HOUR_MS,
    "unavailable": HOUR_MS,
}
TERMINAL_INTERVAL_MS = 6 * HOUR_MS
# A disabled account is asked only to know when it would be usable again.
DISABLED_INTERVAL_MS = 6 * HOUR_MS
# The longest Retry-After that is believed.
MAX_WAIT_MS = 12 * HOUR_MS
# So many intervals after its last poll an account is asked, whatever the traffic says of it.
MAX_SKIPPED_INTERVALS = 2
JITTER = 0.1
# How long a poller waits for another proxy's poller to poll an account that has just failed.
TURN_MS = 10_000

Uniform = Callable[[float, float], float]


class PollState(NamedTuple):
    """The stored result of an account's last polls.

    The first word of the fingerprint names the poller. `other_proxies_credentials` counts the
    credentials that other proxies have for the account. `traffic_at` is the instant since which
    traffic alone tells every gating window, `refused_at` that of a refusal whose end is unknown.
    """

    account_id: int
    state: str = "never"
    fingerprint: str | None = None
    last_attempt_at: int | None = None
    next_attempt_at: int | None = None
    consecutive_failures: int = 0
    plan_asked_at: int | None = None
    other_proxies_credentials: int = 0
    retry_after_at: int | None = None
    traffic_at: int | None = None
    refused_at: int | None = None


class PollContext(NamedTuple):
    """The credentials of an account at an instant, as one poller sees them.

    The first word of the fingerprint names the poller. `credentials` counts those of all proxies.
    """

    now: int
    provider: str
    source: str
    fingerprint: str
    credentials: int = 1
    is_disabled: bool = False


def minimum_interval(provider: str) -> int:
    """Return the shortest time (ms) between two polls of an account."""
    return PROVIDERS[provider].minimum_interval_ms if provider in PROVIDERS else MINUTE_MS


def is_due(state: PollState, context: PollContext, *, requested: bool = False) -> bool:
    """Return whether an account may and should be polled now; `requested` by a user."""
    if is_too_soon(state, context):
        return False
    if requested or state.last_attempt_at is None:
        return True
    if _has_changed(state, context) or _replaces_dead_login(state, context):
        return True
    if state.refused_at and state.refused_at > state.last_attempt_at:
        # A poll may know the end that the refusal did not name.
        return True
    due_at = state.next_attempt_at
    delay = TURN_MS if _gives_way(state, context) else 0
    return due_at is None or context.now >= due_at + delay


def must_wait(state: PollState, now: int) -> bool:
    """Return whether a Retry-After has not passed; a call before its end prolongs it."""
    # After a clock was set back, an end in the far future must not stop the polls.
    return state.retry_after_at is not None and 0 < state.retry_after_at - now <= MAX_WAIT_MS


def is_fresh(state: PollState, now: int, interval_ms: int) -> bool:
    """Return whether traffic has reported the quota recently: other accounts are polled first."""
    if state.traffic_at is None or state.last_attempt_at is None:
        return False
    was_polled = now - state.last_attempt_at < MAX_SKIPPED_INTERVALS * interval_ms
    return was_polled and 0 <= now - state.traffic_at < interval_ms


def is_too_soon(state: PollState, context: PollContext) -> bool:
    """Return whether the minimum interval since the last poll, or a Retry-After, is running."""
    if must_wait(state, context.now):
        return True
    last = state.last_attempt_at
    # After a clock was set back the last poll is in the future; it must not delay the next one.
    return last is not None and 0 <= context.now - last < minimum_interval(context.provider)


def next_attempt(
    state: PollState, context: PollContext, reading: Reading, *, refresh_ms: int, uniform: Uniform
) -> int:
    """Return the instant of the next poll; `uniform` draws a number between two."""
    minimum = minimum_interval(context.provider)
    interval = max(refresh_ms, minimum)
    failures, outcome = state.consecutive_failures, reading.state or ""
    wait: float = max(interval, DISABLED_INTERVAL_MS) if context.is_disabled else interval
    if outcome in TERMINAL:
        # Each of several credentials of an account is tried once before the long interval.
        wait = TERMINAL_INTERVAL_MS if failures + 1 >= context.credentials else interval
    elif outcome in MAX_INTERVAL_MS:
        longest = max(interval, MAX_INTERVAL_MS[outcome])
        wait = max(wait, min(interval * 2.0 ** min(failures, 20), longest))
    # Jitter on both sides keeps the average; the minimum holds in any case.
    return context.now + round(max(wait * uniform(1 - JITTER, 1 + JITTER), minimum))


def poller_name(subject: PollState | PollContext) -> str:
    """Return the poller of the last poll, or of this one: the first word of the fingerprint."""
    return (subject.fingerprint or "").partition(" ")[0]


def _replaces_dead_login(state: PollState, context: PollContext) -> bool:
    """Return whether another proxy's login has ended, and this proxy's was not tried since."""
    has_ended = state.other_proxies_credentials and state.state in TERMINAL
    is_other = poller_name(state) != poller_name(context)
    return bool(has_ended and is_other) and state.consecutive_failures < context.credentials


def _gives_way(state: PollState, context: PollContext) -> bool:
    """Return whether another proxy's credential is next, as this proxy's has just failed."""
    has_failed = bool(state.other_proxies_credentials and state.consecutive_failures)
    return has_failed and poller_name(state) == poller_name(context)


def _has_changed(state: PollState, context: PollContext) -> bool:
    # Fingerprints of another source or proxy cannot be compared.
    same_poller = poller_name(state) == poller_name(context)
    return same_poller and state.fingerprint != context.fingerprint
