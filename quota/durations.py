"""Windows are named by how long they last, never by where the answer puts them.

Lengths in use as read by openai/codex and the CLIProxyAPI Management Center: 5 hours, a week,
30 days, a twelfth of a year. Any of them may stand first or second, or be missing.
"""

from collections.abc import Iterable
from dataclasses import replace

from quota.model import Window
from quota.numbers import instant, plausible, seconds

HOUR, DAY = 3600, 86400
FIVE_HOURS, WEEK, MONTH = 5 * HOUR, 7 * DAY, 365 * DAY // 12
NAMES = {
    FIVE_HOURS: ("5h", "5-hour"),
    DAY: ("1d", "daily"),
    WEEK: ("7d", "weekly"),
    30 * DAY: ("30d", "monthly (30 d)"),
    MONTH: ("month", "monthly (365/12 d)"),
}
# A lazy window that nobody has opened yet always ends one whole length from now, give or take.
UNOPENED_WITHIN_MS = 120_000


def name(length: int) -> tuple[str, str]:
    """Name a length in seconds: its key and its label; within 1 % counts as the same length."""
    nearest = min(NAMES, key=lambda known: abs(known - length))
    if abs(nearest - length) * 100 <= nearest:
        return NAMES[nearest]
    if 28 * DAY <= length <= 31 * DAY:
        return "month", "monthly"
    return f"w{length}", spelled(length)


def spelled(length: int) -> str:
    """Spell a length in seconds with its two largest units, `1 d 6 h`."""
    parts, rest = [], length
    for unit, size in (("d", DAY), ("h", HOUR), ("min", 60), ("s", 1)):
        whole, rest = divmod(rest, size)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts[:2]) or "0 s"


def reset(at: object, after: object, *, observed_at: int) -> int | None:
    """Place a reset: the instant if one is told, else so many seconds after the observation."""
    wait = seconds(after)
    return instant(at) or (plausible(observed_at + wait * 1000) if wait else None)


def settled(windows: Iterable[Window], observed_at: int) -> tuple[Window, ...]:
    """Finish windows: date them, drop impossible resets, mark unopened ones, one for each key."""
    kept: dict[tuple[str, str, str], Window] = {}
    for window in (_finished(replace(told, observed_at=observed_at)) for told in windows):
        key = (window.scope, window.scope_key, window.window_key)
        kept[key] = max(kept.get(key, window), window, key=_credence)
    return tuple(kept.values())


def _finished(window: Window) -> Window:
    length, at = window.window_seconds, window.resets_at
    # A reset further away than the window is long cannot be this window's.
    if length and at and at > window.observed_at + length * 1100:
        window = replace(window, resets_at=None)
    return window if window.started is not None else replace(window, started=_started(window))


def _started(window: Window) -> bool | None:
    if window.used_percent is None:
        return None
    if window.used_percent > 0:
        return True
    if not (window.window_seconds and window.resets_at):
        return None
    whole = window.observed_at + window.window_seconds * 1000
    return abs(window.resets_at - whole) > UNOPENED_WITHIN_MS


def _credence(window: Window) -> tuple[bool, float]:
    used = window.used_percent
    return not window.assumed, -1 if used is None else used
