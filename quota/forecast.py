"""Forecast whether a window lasts until its reset, from the recent rate of its cycle.

The rate is that of the last hour for 5 hours, the last day for a week, three days for a month;
it is that of the whole cycle where the recent points are too few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from quota.history import Point
from quota.windows import DAY, WEEK

HOUR_MS = 3_600_000
STALE_MS = 2 * HOUR_MS
# Percentages are mostly whole numbers: a smaller change than this is no trend.
MIN_CHANGE_PERCENT = 2
TOO_EARLY_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle of a window, its newest observation among the points.

    `early` means that it began before the nominal start, which is a length before the reset.
    """

    points: Sequence[Point]
    window_seconds: int | None
    resets_at: int | None
    started: bool | None = None
    early: bool = False
    stale_ms: int = STALE_MS


@dataclass(frozen=True, slots=True)
class Forecast:
    """`runs_out`, `lasts`, `exhausted`, or `none` with the reason for having no forecast."""

    outcome: str
    reason: str | None = None
    percent_per_hour: float | None = None
    runs_out_at: int | None = None
    left_over_percent: float | None = None


def forecast(cycle: Cycle, now: int) -> Forecast:
    """Return the projection of the newest observation to the reset."""
    points = sorted(cycle.points, key=lambda point: point.observed_at)
    reason = _reason_for_none(cycle, points, now=now)
    if reason:
        return Forecast("none", reason)
    last, resets_at = points[-1], cycle.resets_at or 0
    if last.used_percent >= 100:
        return Forecast("exhausted")
    rate = _recent_rate(cycle, points) or _cycle_rate(cycle, points)
    if rate is None:
        return Forecast("none", "too_little_data")
    remaining = 100 - last.used_percent
    runs_out_at = last.observed_at + round(remaining / rate)
    per_hour = rate * HOUR_MS
    if runs_out_at < resets_at:
        return Forecast("runs_out", None, per_hour, max(runs_out_at, now))
    left_over = remaining - rate * (resets_at - last.observed_at)
    return Forecast("lasts", None, per_hour, None, max(left_over, 0.0))


def recent_ms(window_seconds: int | None) -> int:
    """Return the length of time (ms) that the recent rate is measured over."""
    length = window_seconds or 30 * DAY
    parts = 5 if length <= DAY else 7 if length <= WEEK else 10
    return length * 1000 // parts


def _reason_for_none(cycle: Cycle, points: list[Point], *, now: int) -> str | None:
    length, resets_at = cycle.window_seconds, cycle.resets_at
    if cycle.started is False:
        return "not_started"
    if not points or resets_at is None:
        return "unknown"
    if resets_at <= now:
        return "rolled_over"
    if now - points[-1].observed_at > cycle.stale_ms:
        return "stale"
    opened_at = resets_at - length * 1000 if length else None
    early = opened_at is not None and now - opened_at < TOO_EARLY_SHARE * (length or 0) * 1000
    return "too_early" if early else None


def _recent_rate(cycle: Cycle, points: list[Point]) -> float | None:
    since = points[-1].observed_at - recent_ms(cycle.window_seconds)
    recent = [point for point in points if point.observed_at >= since]
    return _rate(recent[0], recent[-1]) if len(recent) >= 3 else None


def _cycle_rate(cycle: Cycle, points: list[Point]) -> float | None:
    if cycle.early or not cycle.window_seconds or cycle.resets_at is None:
        return _rate(points[0], points[-1])
    opened_at = cycle.resets_at - cycle.window_seconds * 1000
    return _rate(Point(opened_at, 0.0), points[-1])


def _rate(first: Point, last: Point) -> float | None:
    change = last.used_percent - first.used_percent
    duration = last.observed_at - first.observed_at
    return change / duration if change >= MIN_CHANGE_PERCENT and duration > 0 else None
