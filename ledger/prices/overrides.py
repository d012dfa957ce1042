"""The user's own prices, as the setting `prices` has them.

Separate from the calculator, since settings need only this and the price package loads slowly.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]
TIERS = ("standard", "priority", "flex", "batch", "fast")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices of a request whose input is longer than `above` tokens; absent ones do not change."""

    above: Annotated[int, Meta(ge=1)]
    input: Dollars | None = None
    output: Dollars | None = None
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """A user's own price: dollars for a million tokens, with the attempts and times it applies to.

    `multiplier` without `input` and `output` scales the price that would apply otherwise.
    `provider`, `account` and `client` are patterns; `hours` and `weekdays` are UTC.
    """

    input: Dollars | None = None
    output: Dollars | None = None
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = None
    output_image: Dollars | None = None
    request: Dollars | None = None
    steps: tuple[Step, ...] = ()
    multiplier: Annotated[float, Meta(ge=0, le=1000)] | None = None
    provider: str = ""
    account: str = ""
    client: str = ""
    tier: str = ""
    hours: str = ""
    weekdays: str = ""
    since: str = ""

    @property
    def is_scale(self) -> bool:
        """Whether it only scales another price."""
        return self.input is None and self.output is None

    @property
    def depends_on_time(self) -> bool:
        """Whether it holds at some times only."""
        return bool(self.hours or self.weekdays or self.since)

    def holds_at(self, moment: datetime) -> bool:
        """Return whether it holds at an instant (aware)."""
        moment = moment.astimezone(UTC)
        if self.since and moment.date() < date.fromisoformat(self.since):
            return False
        if self.weekdays and DAYS[moment.weekday()] not in weekdays(self.weekdays):
            return False
        return not self.hours or is_within(moment.hour * 60 + moment.minute, self.hours)


Prices = dict[str, Price | list[Price]]


def is_within(minute: int, hours: str) -> bool:
    """Return whether a minute of the day lies in `HH:MM-HH:MM`, which may cross midnight."""
    match = HOURS.fullmatch(hours)
    assert match, "validated with the settings"
    first_hour, first_minute, last_hour, last_minute = map(int, match.groups())
    start, end = first_hour * 60 + first_minute, last_hour * 60 + last_minute
    return start <= minute < end if start < end else minute >= start or minute < end


def weekdays(text: str) -> set[str]:
    """Return the days that `mon-fri`, `sat,sun` or a mixture of both names.

    Raises `ValueError` for a word that is no day.
    """
    days: set[str] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days |= {DAYS[day % 7] for day in range(start, end + 1 + 7 * (end < start))}
    return days


def entries(prices: Prices) -> Iterator[tuple[str, Price]]:
    """Yield each pattern with each of its prices, in the order in which they are tried.

    Names without a wildcard come before patterns, a later `from` before an earlier one.
    """
    for pattern in sorted(prices, key=is_pattern):
        value = prices[pattern]
        prices_of_pattern = value if isinstance(value, list) else [value]
        for price in sorted(prices_of_pattern, key=lambda price: price.since, reverse=True):
            yield pattern, price


def is_pattern(name: str) -> bool:
    """Return whether a key of `prices` has a wildcard; `[1m]` is a part of names."""
    return "*" in name or "?" in name


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern, in any case; `*` and `?` are wildcards."""
    return fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def problems(prices: Prices) -> list[str]:
    """Return a sentence for each price that cannot work."""
    return [
        f"the price of {pattern!r} {sentence}"
        for pattern, price in entries(prices)
        for sentence in price_problems(price)
    ]


def price_problems(price: Price) -> Iterator[str]:
    """Yield what is wrong with one price."""
    if (price.input is None) != (price.output is None):
        yield "has only one of input and output: give both, in dollars for a million tokens"
    if price.is_scale and price.multiplier is None:
        yield "has neither input and output nor a multiplier"
    if price.is_scale and (price.steps or price.request is not None):
        yield "has steps or a request price but no input and output"
    if price.tier and price.tier not in TIERS:
        yield f"has an unknown tier: it must be one of {', '.join(TIERS)}"
    if price.hours and not HOURS.fullmatch(price.hours):
        yield "has hours that are not of the form 01:00-04:00 (UTC)"
    if [step.above for step in price.steps] != sorted({step.above for step in price.steps}):
        yield "has steps that are not in rising order of above"
    yield from time_problems(price)


def time_problems(price: Price) -> Iterator[str]:
    """Yield what is wrong with the days of a price."""
    try:
        weekdays(price.weekdays or "mon")
    except ValueError:
        yield "has weekdays that are not of the form mon-fri or sat,sun"
    try:
        date.fromisoformat(price.since or "2026-01-01")
    except ValueError:
        yield "has a from that is not a day such as 2026-11-01"
