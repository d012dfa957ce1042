"""Quota windows that fill with the rhythm of the week and are empty again after each reset."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from demo import pool
from demo.rhythm import HOUR, Rhythm

FIVE_HOURS = 300
WEEKLY = 10_080
MONTHLY = 43_800


@dataclass(frozen=True)
class Window:
    """A limit over `minutes` that resets `ends_in` hours after the anchor, and so on.

    Either `used` percent of it are used at the anchor, or each busy hour uses `pace` percent.
    """

    minutes: int
    ends_in: float
    used: float = 0.0
    pace: float = 0.0


class Reading(NamedTuple):
    """A window at one moment: percent used, and when it resets in unix seconds."""

    minutes: int
    used: float
    resets_at: int


WINDOWS: dict[pool.Account, tuple[Window, ...]] = {
    pool.ALICE: (Window(FIVE_HOURS, 2.5, pace=13), Window(WEEKLY, 61, used=62)),
    pool.ALICE_TEAM: (Window(WEEKLY, 83, used=44), Window(FIVE_HOURS, 1.2, pace=6)),
    pool.BOB: (Window(WEEKLY, 40, used=94),),
    pool.DAVE: (Window(FIVE_HOURS, 4.1, pace=9), Window(WEEKLY, 26, used=150)),
    pool.FRANK: (Window(MONTHLY, 300, used=38),),
    pool.CAROL: (Window(FIVE_HOURS, 3.3, pace=9), Window(WEEKLY, 97, used=41)),
    pool.GRACE: (Window(FIVE_HOURS, 0.8, pace=23), Window(WEEKLY, 50, used=71)),
}
SPARK_WINDOWS = (Window(WEEKLY, 110, used=48),)
# Limits that no response header tells of; none of them ever stops the traffic.
POOLS: dict[pool.Account, dict[str, Window]] = {
    pool.HEIDI: {
        "gemini-5h": Window(FIVE_HOURS, 3.7, pace=4),
        "gemini-weekly": Window(WEEKLY, 74, used=35),
        "3p-5h": Window(FIVE_HOURS, 3.7, pace=11),
        "3p-weekly": Window(WEEKLY, 74, used=58),
    },
    pool.KIMI: {
        "limit_5h": Window(FIVE_HOURS, 1.9, pace=7),
        "limit_7d": Window(WEEKLY, 55, used=47),
        "limit_month_total": Window(MONTHLY, 420, used=22),
    },
    pool.JUDY: {"weekly": Window(WEEKLY, 120, used=31)},
}


class Gauge:
    """One window of one account, readable at any moment."""

    def __init__(self, window: Window, rhythm: Rhythm, anchor: float) -> None:
        self._minutes = window.minutes
        self._length = window.minutes * 60
        self._end = anchor + window.ends_in * HOUR
        self._mass = rhythm.mass
        self._starts: dict[int, float] = {}
        self._pace = window.pace
        if window.used:
            elapsed = rhythm.mass(anchor) - rhythm.mass(self._end - self._length)
            self._pace = window.used / elapsed

    def read(self, moment: float) -> Reading:
        """Read the window that is running then."""
        number = math.floor((moment - self._end) / self._length) + 1
        end = self._end + number * self._length
        if number not in self._starts:
            self._starts[number] = self._mass(end - self._length)
        used = (self._mass(moment) - self._starts[number]) * self._pace * _luck(number)
        return Reading(self._minutes, min(used, 100.0), int(end))


class Quotas:
    """All windows of all accounts."""

    def __init__(self, rhythm: Rhythm, anchor: float) -> None:
        self._gauges = {
            account: tuple(Gauge(window, rhythm, anchor) for window in windows)
            for account, windows in WINDOWS.items()
        }
        self._pools = {
            account: {name: Gauge(window, rhythm, anchor) for name, window in windows.items()}
            for account, windows in POOLS.items()
        }
        self._spark = tuple(Gauge(window, rhythm, anchor) for window in SPARK_WINDOWS)

    def of(self, account: pool.Account, moment: float) -> list[Reading]:
        """Read an account's windows in the order in which its provider reports them."""
        return [gauge.read(moment) for gauge in self._gauges.get(account, ())]

    def spark(self, moment: float) -> list[Reading]:
        """Read the extra limit of one model."""
        return [gauge.read(moment) for gauge in self._spark]

    def pools(self, account: pool.Account, moment: float) -> dict[str, Reading]:
        """Read the limits that an account has by name."""
        return {name: gauge.read(moment) for name, gauge in self._pools.get(account, {}).items()}

    def exhausted_until(self, account: pool.Account, moment: float) -> int:
        """Return when a used-up account works again, 0 when it works now."""
        return max((at for _, used, at in self.of(account, moment) if used >= 100), default=0)


def _luck(number: int) -> float:
    """Vary one window against the next, and leave the one around the anchor as it is."""
    return 1.0 if number == 0 else 0.75 + (number * 40503 % 1024) / 2925
