"""Which observations of a window belong together: a cycle runs from one reset to the next.

Reset instants jitter by seconds between polls, resets happen off schedule (a banked reset, a
gift), and Codex answers have been seen to swing between two resets: only two observations
in a row that agree start a cycle before its time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from quota.model import Window

ROUND_MS = 300_000
KEEP_EVERY_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Point:
    """One observation; without a reset while the window is not started."""

    observed_at: int
    used_percent: float
    resets_at: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """Where a window's history stands: its cycle, its last point, a change not yet confirmed.

    A cycle is its reset rounded to five minutes, 0 without one, plus one for each early restart
    that left the reset alone.
    """

    cycle: int = 0
    last: Point | None = None
    candidate: Point | None = None


def point(window: Window) -> Point | None:
    """Return a window's observation; None when its percentage is unknown."""
    if window.used_percent is None:
        return None
    resets_at = None if window.started is False else window.resets_at
    return Point(window.observed_at, window.used_percent, resets_at)


def follow(track: Track, seen: Point) -> Track:
    """Add the next observation; it is `last` when it counts, `candidate` while in doubt."""
    last = track.last
    if last is None or _is_due(last, seen):
        return Track(_rounded(seen), seen)
    if _continues(last, seen):
        return Track(track.cycle, seen)
    if track.candidate and _continues(track.candidate, seen):
        fresh = _rounded(seen)
        again = _same(last.resets_at, seen.resets_at)
        return Track(track.cycle + 1 if again else fresh, seen)
    return Track(track.cycle, last, seen)


def grown(before: Track, after: Track) -> tuple[Point, ...]:
    """Return the observations that a step added: none while in doubt, two when doubt ends."""
    if after.last is None or after.last is before.last:
        return ()
    doubt = before.candidate if after.cycle != before.cycle else None
    confirmed = doubt is not None and _continues(doubt, after.last)
    return (doubt, after.last) if doubt and confirmed else (after.last,)


def split(points: Iterable[Point]) -> list[tuple[int, tuple[Point, ...]]]:
    """Sort a window's observations, oldest first, into cycles; swings are left out."""
    track, found = Track(), []
    for seen in points:
        before, track = track, follow(track, seen)
        new = grown(before, track)
        if new and (not found or track.cycle != before.cycle):
            found.append((track.cycle, list(new)))
        elif new:
            found[-1][1].extend(new)
    return [(cycle, tuple(members)) for cycle, members in found]


def is_early(cycle: int) -> bool:
    """Tell whether a cycle began before its reset was due, with the reset left alone."""
    return cycle % ROUND_MS != 0


def is_worth_keeping(last: Point | None, seen: Point, *, same_cycle: bool) -> bool:
    """Tell whether history needs a point: something changed, or half an hour has passed."""
    if last is None or not same_cycle or last.used_percent != seen.used_percent:
        return True
    return seen.observed_at - last.observed_at >= KEEP_EVERY_MS


def _is_due(last: Point, seen: Point) -> bool:
    if last.resets_at is None:
        return seen.resets_at is not None
    return seen.observed_at >= last.resets_at and not _same(last.resets_at, seen.resets_at)


def _continues(last: Point, seen: Point) -> bool:
    # Headers carry fractions and answers whole percents: less than one is no drop.
    return _same(last.resets_at, seen.resets_at) and seen.used_percent > last.used_percent - 1


def _same(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= ROUND_MS


def _rounded(seen: Point) -> int:
    return 0 if seen.resets_at is None else round(seen.resets_at / ROUND_MS) * ROUND_MS
