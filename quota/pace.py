"""The pace of provider calls for the whole pool: a limit per minute, and gaps between calls.

Calls for many accounts within a second look suspicious to a provider, so the pollers of all proxies
share one pace. A few calls after a quiet minute need no gap: a small pool is polled at once.
"""

from collections import deque
from threading import Lock

MINUTE_MS = 60_000
# This number of calls in a minute needs no gap between calls.
UNSPACED_CALLS = 5


class Pace:
    """Reserves provider calls; in no minute are there more than `calls_per_minute`."""

    def __init__(self, calls_per_minute: int) -> None:
        self._limit = calls_per_minute
        self._gap_ms = MINUTE_MS // calls_per_minute
        self._calls: deque[int] = deque()
        self._lock = Lock()

    def reserve(self, now: int, calls: int = 1) -> bool:
        """Reserve calls that are made now; returns whether there is room for them."""
        with self._lock:
            self._drop_old(now)
            has_room = self._open_at(now, calls) <= now
            if has_room:
                self._calls.extend([now] * calls)
            return has_room

    def release(self, calls: int) -> None:
        """Release calls that were reserved last and were not made."""
        with self._lock:
            for _ in range(min(calls, len(self._calls))):
                self._calls.pop()

    def wait_ms(self, now: int) -> int:
        """Return the time until a call can be reserved."""
        with self._lock:
            self._drop_old(now)
            return max(self._open_at(now, 1) - now, 0)

    def round_ms(self, accounts: int) -> int:
        """Return the time in which a number of accounts can be polled once."""
        return accounts * MINUTE_MS // self._limit

    def _open_at(self, now: int, calls: int) -> int:
        """Return the first instant that has room for calls; more than the limit wait for all."""
        excess = len(self._calls) + min(calls, self._limit) - self._limit
        full_until = self._calls[excess - 1] + MINUTE_MS if excess > 0 else now
        is_busy = len(self._calls) >= min(UNSPACED_CALLS, self._limit)
        spaced_at = self._calls[-1] + self._gap_ms if is_busy else now
        return max(full_until, spaced_at)

    def _drop_old(self, now: int) -> None:
        # After a clock was set back, calls of the future must not stop the polls.
        while self._calls and not now - MINUTE_MS < self._calls[0] <= now:
            self._calls.popleft()
