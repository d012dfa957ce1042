"""Finish the windows of an answer, and name each by its duration, never by its position.

Durations in use as read by openai/codex and the CLIProxyAPI Management Center: 5 hours, a week,
30 days, a twelfth of a year. Each of them may be first or second, or missing.
"""

from collections.abc import Iterable
from dataclasses import replace

from quota.json_fields import instant, plausible_instant, seconds
from quota.model import Window

HOUR, DAY = 3600, 86400
FIVE_HOURS, WEEK, MONTH = 5 * HOUR, 7 * DAY, 365 * DAY // 12
NAMES = {
    FIVE_HOURS: ("5h", "5-hour"),
    DAY: ("1d", "daily"),
    WEEK: ("7d", "weekly"),
    30 * DAY: ("30d", "monthly (30 d)"),
    MONTH: ("month", "monthly (365/12 d)"),
}
# A window that starts with the first request, and has not started, always resets one whole
# length after the answer, within this tolerance.
NOT_STARTED_TOLERANCE_MS = 120_000


def window_name(length: int) -> tuple[str, str]:
    """Return key and label for a length in seconds; lengths within 1 % count as the same."""
    nearest = min(NAMES, key=lambda standard: abs(standard - length))
    if abs(nearest - length) * 100 <= nearest:
        return NAMES[nearest]
    if 28 * DAY <= length <= 31 * DAY:
        return "month", "monthly"
    return f"w{length}", format_duration(length)


def format_duration(length: int) -> str:
    """Return a length in seconds as text in its two largest units, `1 d 6 h`."""
    parts, remainder = [], length
    for unit, size in (("d", DAY), ("h", HOUR), ("min", 60), ("s", 1)):
        count, remainder = divmod(remainder, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def reset_instant(at: object, after: object, *, observed_at: int) -> int | None:
    """Return the reset: the instant where there is one, else `after` seconds from observation."""
    wait = seconds(after)
    return instant(at) or (plausible_instant(observed_at + wait * 1000) if wait else None)


def finish_windows(windows: Iterable[Window], observed_at: int) -> tuple[Window, ...]:
    """Return dated windows, one for each key, without impossible resets, `started` filled in."""
    by_key: dict[tuple[str, str, str], Window] = {}
    for window in (_finished(replace(each, observed_at=observed_at)) for each in windows):
        key = (window.scope, window.scope_key, window.window_key)
        by_key[key] = max(by_key.get(key, window), window, key=_precedence)
    return tuple(by_key.values())


def _finished(window: Window) -> Window:
    length, resets_at = window.window_seconds, window.resets_at
    # A reset that is further away than the window is long cannot belong to this window.
    if length and resets_at and resets_at > window.observed_at + length * 1100:
        window = replace(window, resets_at=None)
    return window if window.started is not None else replace(window, started=_started(window))


def _started(window: Window) -> bool | None:
    if window.used_percent is None:
        return None
    if window.used_percent > 0:
        return True
    if not (window.window_seconds and window.resets_at):
        return None
    full_length_end = window.observed_at + window.window_seconds * 1000
    return abs(window.resets_at - full_length_end) > NOT_STARTED_TOLERANCE_MS


def _precedence(window: Window) -> tuple[bool, float]:
    used = window.used_percent
    return not window.assumed, -1 if used is None else used
