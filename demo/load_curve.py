"""The load over a week: how busy each hour of each day is."""

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
_load = _workday * 5 + tuple(WEEKEND * hour for hour in _workday) * 2
_load_before = (0.0, *accumulate(_load))


class LoadCurve:
    """The weekly load of users whose local time is `offset` seconds ahead of UTC.

    It is measured in busy hours: an hour at full load counts 1, a quiet hour less.
    """

    def __init__(self, offset: float) -> None:
        self._shift = offset - FIRST_MONDAY

    def busy_hours(self, moment: float) -> float:
        """Return the busy hours from a fixed Monday long ago until `moment`, unix seconds."""
        weeks, within = divmod(moment + self._shift, WEEK)
        hours, rest = divmod(within, HOUR)
        hour = int(hours)
        return weeks * _load_before[-1] + _load_before[hour] + _load[hour] * rest / HOUR

    def moment(self, busy_hours: float) -> float:
        """Return the unix seconds at which that many busy hours have passed."""
        weeks, within = divmod(busy_hours, _load_before[-1])
        hour = min(bisect_right(_load_before, within) - 1, len(_load) - 1)
        seconds = (hour + (within - _load_before[hour]) / _load[hour]) * HOUR
        return weeks * WEEK + seconds - self._shift
