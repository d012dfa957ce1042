"""One tolerant reader each for numbers, percentages, instants, amounts and flags.

Providers send numbers as text, instants in three units, and null or nonsense where they know
nothing. Whatever is not plainly a value is None: a bool is no number, nor is NaN, infinity or
anything below zero.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
LARGEST = 1e15
# Unix seconds stay below this until the year 5138, milliseconds have been above it since 1973.
MILLISECONDS_FROM = 1e11
# 2001 to 2286: outside lie zero values and garbage, not resets.
EARLIEST, LATEST = 10**12, 10**13
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def number(value: object) -> float | None:
    """Read a finite number that is not negative, from a number or its text."""
    if isinstance(value, str):
        value = value.strip()
        if len(value) > 64 or not NUMBER.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN and infinity fail this comparison too; adding zero turns -0.0 into 0.0.
    return float(value) + 0.0 if 0 <= value <= LARGEST else None


def percent(value: object) -> float | None:
    """Read a percentage, 0 to 100 and above, with or without its sign."""
    return number(value.strip().removesuffix("%") if isinstance(value, str) else value)


def percent_of(fraction: object) -> float | None:
    """Read a fraction, 0 to 1 and above, as a percentage; text with a % sign already is one."""
    if isinstance(fraction, str) and fraction.strip().endswith("%"):
        return percent(fraction)
    found = number(fraction)
    return None if found is None else round(found * 100, 6)


def percent_used(left: object) -> float | None:
    """Read the fraction that is left as the percentage that is used; None above the whole."""
    remaining = percent_of(left)
    return None if remaining is None or remaining > 100 else round(100 - remaining, 6)


def share(used: object, limit: object) -> float | None:
    """Divide two amounts into a percentage; None without a limit above zero."""
    part, whole = number(used), number(limit)
    return round(part / whole * 100, 6) if part is not None and whole else None


def count(value: object) -> int | None:
    """Read a whole number."""
    found = number(value)
    return None if found is None or found != int(found) else int(found)


def seconds(value: object, unit: int = 1) -> int | None:
    """Read a duration given in units of so many seconds; zero is no duration."""
    found = number(value)
    return (round(found * unit) or None) if found else None


def instant(value: object) -> int | None:
    """Read unix seconds, unix milliseconds or ISO 8601 with a zone, as UTC milliseconds."""
    found = number(value)
    if found is not None:
        return plausible(round(found if found > MILLISECONDS_FROM else found * 1000))
    return _iso(value.strip().upper()) if isinstance(value, str) else None


def plausible(at: int) -> int | None:
    """Keep an instant of the years 2001 to 2286."""
    return at if EARLIEST <= at <= LATEST else None


def amount(value: object, digits: int = 0) -> str | None:
    """Normalise a decimal amount as plain text; the last `digits` digits are minor units."""
    if number(value) is None:
        return None
    found = Decimal(str(value).strip()).scaleb(-digits)
    return format(round(found, 12).normalize() + 0, "f")


def flag(value: object) -> bool | None:
    """Read a yes or no, also as written by Python (`True`) or as 1 and 0."""
    if isinstance(value, str | int):
        return FLAGS.get(str(value).strip().lower())
    return None


def _iso(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        return None
    return plausible((found - EPOCH) // timedelta(milliseconds=1))
