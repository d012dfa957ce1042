"""Will a window last until its reset? Its cycle's recent rate says until when, or what is left.

The rate is that of the last hour for 5 hours, the last day for a week, three days for a month,
and that of the whole cycle where too little was seen lately.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from quota.cycles import Point
from quota.durations import DAY, WEEK

HOUR_MS = 3_600_000
STALE_MS = 2 * HOUR_MS
# Percentages are mostly whole numbers: less movement than this has no direction.
MOVEMENT = 2
TOO_EARLY = 0.02


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


@dataclass(frozen=True, slots=True)
class Forecast:
    """`runs_out`, `lasts`, `exhausted`, or `none` with the reason for having no forecast."""

    outcome: str
    reason: str | None = None
    percent_per_hour: float | None = None
    runs_out_at: int | None = None
    left_over_percent: float | None = None


def forecast(cycle: Cycle, now: int) -> Forecast:
    """Project the newest observation to the reset."""
    points = sorted(cycle.points, key=lambda point: point.observed_at)
    silence = _silence(cycle, points, now=now)
    if silence:
        return Forecast("none", silence)
    last, resets_at = points[-1], cycle.resets_at or 0
    if last.used_percent >= 100:
        return Forecast("exhausted")
    rate = _recent_rate(cycle, points) or _whole_rate(cycle, points)
    if rate is None:
        return Forecast("none", "too_little_data")
    remaining = 100 - last.used_percent
    runs_out_at = last.observed_at + round(remaining / rate)
    per_hour = rate * HOUR_MS
    if runs_out_at < resets_at:
        return Forecast("runs_out", None, per_hour, max(runs_out_at, now))
    left_over = remaining - rate * (resets_at - last.observed_at)
    return Forecast("lasts", None, per_hour, None, max(left_over, 0.0))


def horizon_ms(window_seconds: int | None) -> int:
    """Return how far back the recent rate looks."""
    length = window_seconds or 30 * DAY
    parts = 5 if length <= DAY else 7 if length <= WEEK else 10
    return length * 1000 // parts


def _silence(cycle: Cycle, points: list[Point], *, now: int) -> str | None:
    length, resets_at = cycle.window_seconds, cycle.resets_at
    if cycle.started is False:
        return "not_started"
    if not points or resets_at is None:
        return "unknown"
    if resets_at <= now:
        return "rolled_over"
    if now - points[-1].observed_at > STALE_MS:
        return "stale"
    opened_at = resets_at - length * 1000 if length else None
    early = opened_at is not None and now - opened_at < TOO_EARLY * (length or 0) * 1000
    return "too_early" if early else None


def _recent_rate(cycle: Cycle, points: list[Point]) -> float | None:
    since = points[-1].observed_at - horizon_ms(cycle.window_seconds)
    recent = [point for point in points if point.observed_at >= since]
    return _rate(recent[0], recent[-1]) if len(recent) >= 3 else None


def _whole_rate(cycle: Cycle, points: list[Point]) -> float | None:
    if cycle.early or not cycle.window_seconds or cycle.resets_at is None:
        return _rate(points[0], points[-1])
    opened_at = cycle.resets_at - cycle.window_seconds * 1000
    return _rate(Point(opened_at, 0.0), points[-1])


def _rate(first: Point, last: Point) -> float | None:
    moved, took = last.used_percent - first.used_percent, last.observed_at - first.observed_at
    return moved / took if moved >= MOVEMENT and took > 0 else None
