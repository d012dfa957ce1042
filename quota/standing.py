"""What a window means at a given moment: reset since, used up, still blocking, how much is left."""

from collections.abc import Sequence

from quota.model import Window

# A provider may need a moment after a reset before it answers again.
GRACE_MS = 120_000


def is_rolled_over(window: Window, now: int) -> bool:
    """Tell whether a window has reset since: its percentage no longer applies."""
    return window.resets_at is not None and window.resets_at <= now


def left(window: Window, now: int) -> float | None:
    """Return what percentage is left, 0 to 100; None when unknown or rolled over."""
    if window.used_percent is None or is_rolled_over(window, now):
        return None
    return min(max(100 - window.used_percent, 0.0), 100.0)


def is_spent(window: Window, siblings: Sequence[Window]) -> bool:
    """Tell whether a window is used up, by its percentage or as its limit's only suspect.

    A limit's reached flag stands on all its windows, so it accuses one only if it is alone.
    """
    if window.used_percent is not None and window.used_percent >= 100:
        return True
    limit = (window.scope, window.scope_key)
    return [w for w in siblings if w.limit_reached and (w.scope, w.scope_key) == limit] == [window]


def is_blocking(window: Window, siblings: Sequence[Window], *, now: int) -> bool:
    """Tell whether a window is used up and has not reset, with two minutes of grace."""
    over = window.resets_at is not None and window.resets_at + GRACE_MS <= now
    return is_spent(window, siblings) and not over


def left_per_hour(window: Window, now: int) -> float | None:
    """Return percent left per hour until the reset: the higher, the sooner it goes to waste."""
    remaining = left(window, now)
    if remaining is None or window.resets_at is None:
        return None
    return remaining / ((window.resets_at - now) / 3_600_000)
