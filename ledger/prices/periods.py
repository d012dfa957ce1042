"""The periods in which no price of a model changes."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from genai_prices.types import ModelInfo, StartDateConstraint, TimeOfDateConstraint

from ledger.prices.corrections import PEAKS_SINCE, WorkdayPeak
from ledger.prices.overrides import Price

# Quarter hours: no price of the package begins or ends inside one.
QUARTER_MS = 900_000
MINUTE_MS = 60_000
# Hours and weekdays are UTC or Beijing's: they repeat after a week, whose clocks never change.
WEEK_MS = 7 * 86_400_000


class Periods(NamedTuple):
    """Days on which a price begins (ms UTC), and the length of the slots of a week; 0 for none."""

    starts: list[int]
    slot_ms: int

    def key(self, occurred_at: int) -> int:
        """Return a number that is equal for instants (ms UTC) with the same prices."""
        begun = bisect_right(self.starts, occurred_at)
        if not self.slot_ms:
            return begun
        return begun * WEEK_MS + occurred_at % WEEK_MS // self.slot_ms


def periods(model: ModelInfo | None, own: Iterable[Price]) -> Periods | None:
    """Return when the prices of a model may change; None where they never do."""
    days: set[date] = set()
    slot_ms = 0
    for constraint in constraints(model):
        if isinstance(constraint, StartDateConstraint):
            days.add(constraint.start_date)
        else:
            slot_ms = QUARTER_MS
        if isinstance(constraint, WorkdayPeak):
            days.add(PEAKS_SINCE)
    for price in own:
        if price.since:
            days.add(date.fromisoformat(price.since))
        if price.hours or price.weekdays:
            slot_ms = MINUTE_MS
    starts = sorted(round(datetime(*day.timetuple()[:3], tzinfo=UTC).timestamp()) for day in days)
    return Periods([start * 1000 for start in starts], slot_ms) if starts or slot_ms else None


def constraints(
    model: ModelInfo | None,
) -> list[StartDateConstraint | TimeOfDateConstraint]:
    """Return every condition of time that a model's prices have."""
    if model is None:
        return []
    prices = model.prices if isinstance(model.prices, list) else []
    conditions = [price.constraint for price in prices]
    conditions += [variant.constraint for variant in model.price_variants or ()]
    return [condition for condition in conditions if condition is not None]
