"""What was refused of a file, and which events count differently here than in it."""

from collections import Counter, defaultdict
from typing import NamedTuple

from ingest.parse import Usage

PLACES_SHOWN = 3
MOST_KEPT = 1000


class Difference(NamedTuple):
    """An event whose tokens count differently here."""

    place: str
    told: int
    here: int
    why: str


class Differences:
    """Gathers them while a file is gone over; of a great many it keeps the first."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.places: dict[str, list[str]] = defaultdict(list)
        self.told = self.here = self.many = 0
        self.first: list[Difference] = []

    def refuse(self, reason: str, place: str) -> None:
        """Note a record that is no event."""
        self.refused[reason] += 1
        if len(self.places[reason]) < PLACES_SHOWN:
            self.places[reason].append(place)

    def compare(self, usage: Usage, place: str) -> None:
        """Note an event, and how its own total differs from ours."""
        told, here = usage.payload.tokens.total_tokens, usage.tokens.total
        self.told += told
        self.here += here
        if told != here:
            self.many += 1
            if len(self.first) < MOST_KEPT:
                self.first.append(Difference(place, told, here, reason(usage)))


def reason(usage: Usage) -> str:
    """Say why the total of an event is not the one that it gives itself."""
    tokens, told = usage.tokens, usage.payload.tokens.total_tokens
    if told == 0:
        return "the record gives no total"
    if tokens.unclassified == tokens.total:
        return "its counts contradict each other"
    if tokens.total - told == tokens.cached + tokens.cache_write:
        return "its total leaves out what went through the cache"
    if told - tokens.total == tokens.reasoning:
        return "its total counts reasoning twice"
    return "its total is not the sum of its parts"
