"""Believable traffic: the same seed and anchor give the same bytes."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from demo import payload
from demo.attempts import Attempts
from demo.quota import Quotas
from demo.rhythm import Rhythm
from demo.scenes import Stage

ZONE = ZoneInfo("Europe/Berlin")
BUSIEST = 3.0
CELL_SECONDS = 300
EVENTS_PER_CELL = 200


class Event(NamedTuple):
    """A payload with the unix seconds of its timestamp and of its publication."""

    began_at: float
    ended_at: float
    payload: bytes


class Traffic:
    """Events of people in `zone`, whose quotas stand at `anchor` as `demo.quota` says.

    `anchor` is unix seconds; `busiest` is events a second at the busiest hour, for `between`.
    """

    def __init__(
        self, *, seed: int, anchor: float, zone: tzinfo = ZONE, busiest: float = BUSIEST
    ) -> None:
        offset = datetime.fromtimestamp(anchor, zone).utcoffset()
        self._rhythm = Rhythm(offset.total_seconds() if offset else 0.0)
        self.quotas = Quotas(self._rhythm, anchor)
        self._seed = seed
        self._zone = zone
        self._busiest = busiest
        self._live = lru_cache(maxsize=4)(self._live_cell)

    def history(self, start: float, end: float, *, count: int) -> Iterator[bytes]:
        """Yield exactly `count` payloads with timestamps in [start, end), in their order.

        Times are unix seconds. Raises ValueError when there is no time between them.
        """
        if start >= end:
            raise ValueError("history needs a start before its end")
        first, last = self._rhythm.mass(start), self._rhythm.mass(end)
        cells = max(1, min(count // EVENTS_PER_CELL, int((end - start) // CELL_SECONDS)))
        size = (last - first) / cells
        for number in range(cells):
            events = count * (number + 1) // cells - count * number // cells
            low = first + size * number
            yield from (event.payload for event in self._cell(low, low + size, events))

    def between(self, start: float, end: float) -> list[bytes]:
        """Return what the proxy publishes in [start, end), in that order; unix seconds.

        Cutting a stretch in two makes no difference.
        """
        # No attempt lasts longer than a cell.
        cells = range(int(start // CELL_SECONDS) - 1, int(end // CELL_SECONDS) + 1)
        events = [event for number in cells for event in self._live(number)]
        ended = [event for event in events if start <= event.ended_at < end]
        return [event.payload for event in sorted(ended, key=lambda event: event.ended_at)]

    def _live_cell(self, number: int) -> list[Event]:
        start = number * CELL_SECONDS
        low, high = self._rhythm.mass(start), self._rhythm.mass(start + CELL_SECONDS)
        return self._cell(low, high, round((high - low) * 3600 * self._busiest))

    def _cell(self, low: float, high: float, count: int) -> list[Event]:
        """Fill the time between two masses with so many events."""
        rng = Random(f"{self._seed} {low!r} {count}")
        stage = Stage(rng, self.quotas, Attempts(rng, self.quotas, self._zone))
        end = self._rhythm.moment(high)
        events: list[Event] = []
        while len(events) < count:
            moment = self._rhythm.moment(low + (high - low) * rng.random())
            events += [
                Event(made.began_at, made.ended_at, payload.encode(made.payload))
                for made in stage.play(moment)
                if made.began_at < end
            ]
        return sorted(events[:count])


def history(
    start: float, end: float, *, count: int, seed: int, zone: tzinfo = ZONE
) -> Iterator[bytes]:
    """Yield `count` payloads of [start, end), quota windows being as intended at the end."""
    return Traffic(seed=seed, anchor=end, zone=zone).history(start, end, count=count)
