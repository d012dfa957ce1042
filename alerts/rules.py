"""Compare what holds now with what is remembered."""

from collections.abc import Iterable
from typing import NamedTuple

from alerts.model import Condition, Episode

# So long a condition must be away before it is over: a value that dances is one episode.
CLEAR_MS = 600_000


class Changes(NamedTuple):
    """What is different since the last look; the numbers are those of episodes."""

    begun: list[Condition]
    reworded: list[tuple[int, Condition]]
    back: list[int]
    away: list[int]
    over: list[Episode]

    @property
    def are_none(self) -> bool:
        """Tell whether nothing has changed."""
        return not any(self)


def compare(conditions: Iterable[Condition], episodes: Iterable[Episode], at: int) -> Changes:
    """Tell what has begun, changed, gone away, come back, and is over at an instant (ms)."""
    holding = {(found.rule, found.subject): found for found in conditions}
    remembered = {(known.rule, known.subject): known for known in episodes}
    kept = [(known, holding[key]) for key, known in remembered.items() if key in holding]
    gone = [known for key, known in remembered.items() if key not in holding]
    return Changes(
        begun=[found for key, found in holding.items() if key not in remembered],
        # What nobody has been told yet is told as it is when it is sent.
        reworded=[
            (known.id, found)
            for known, found in kept
            if not known.is_told and known.sentence != found.sentence
        ],
        back=[known.id for known, _ in kept if known.clear_since is not None],
        away=[known.id for known in gone if known.clear_since is None],
        over=[known for known in gone if is_over(known, at)],
    )


def is_over(known: Episode, at: int) -> bool:
    """Tell whether a condition has been away for long enough."""
    return known.clear_since is not None and at - known.clear_since >= CLEAR_MS
