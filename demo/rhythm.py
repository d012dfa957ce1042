"""How busy people are, by hour and day of the week."""

from bisect import bisect_right
from itertools import accumulate

HOUR = 3600
WEEK = 7 * 24 * HOUR
# 1970 began on a Thursday; weeks here begin on Monday.
FIRST_MONDAY = 4 * 24 * HOUR

NIGHT = (0.15, 0.12, 0.10, 0.10, 0.10, 0.12, 0.16, 0.30)
DAY = (0.60, 0.90, 1.00, 0.95, 0.65, 0.80, 1.00, 1.00, 0.95, 0.80)
EVENING = (0.50, 0.40, 0.42, 0.40, 0.30, 0.20)
WEEKEND = 0.35

_workday = NIGHT + DAY + EVENING
_busy = _workday * 5 + tuple(WEEKEND * hour for hour in _workday) * 2
_before = (0.0, *accumulate(_busy))


class Rhythm:
    """The week of people whose clocks are `offset` seconds ahead of UTC.

    Its measure is busy hours: one hour at the busiest time counts one, a quiet one less.
    """

    def __init__(self, offset: float) -> None:
        self._shift = offset - FIRST_MONDAY

    def mass(self, moment: float) -> float:
        """Return the busy hours from long ago until then."""
        weeks, within = divmod(moment + self._shift, WEEK)
        hours, rest = divmod(within, HOUR)
        hour = int(hours)
        return weeks * _before[-1] + _before[hour] + _busy[hour] * rest / HOUR

    def moment(self, mass: float) -> float:
        """Return the unix seconds at which so many busy hours are over."""
        weeks, within = divmod(mass, _before[-1])
        hour = min(bisect_right(_before, within) - 1, len(_busy) - 1)
        seconds = (hour + (within - _before[hour]) / _busy[hour]) * HOUR
        return weeks * WEEK + seconds - self._shift
