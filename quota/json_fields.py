"""Tolerant reading of JSON: objects, lists, text, numbers, instants and flags of any type.

Providers send numbers as text, instants in three units, and null or nonsense where they have no
value. A value of the wrong type reads like an absent key, as None: a bool is not a number, nor is
NaN, infinity or anything below zero.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

CAMEL = re.compile(r"_([a-z0-9])")
CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
NOT_SLUG = re.compile(r"[^a-z0-9._]+")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
MAX_NUMBER = 1e15
# Unix seconds stay below this until the year 5138, milliseconds have been above it since 1973.
MILLISECONDS_FROM = 1e11
# The years 2001 to 2286: instants outside are zero values and garbage, not resets.
EARLIEST, LATEST = 10**12, 10**13
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def decode_json(body: bytes | str) -> object:
    """Return decoded JSON, or None when it is not JSON. NaN and infinity decode to None."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, object]:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """Return a list, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def field(source: object, *names: str) -> object:
    """Return the first value under these names that is not null, in snake_case or camelCase."""
    values = mapping(source)
    for name in names:
        for spelling in (name, CAMEL.sub(lambda match: match[1].upper(), name)):
            if values.get(spelling) is not None:
                return values[spelling]
    return None


def has(source: object, *names: str) -> bool:
    """Return whether an object has one of these keys, in snake_case or camelCase, null or not."""
    return not {snake(name) for name in mapping(source)}.isdisjoint(names)


def snake(name: str) -> str:
    """Return a camelCase key in snake_case."""
    return CAPITAL.sub(r"_\1", name).lower()


def text(value: object, limit: int = 100) -> str | None:
    """Return printable text on one line, or None when there is none."""
    if not isinstance(value, str):
        return None
    line = " ".join("".join(c if c.isprintable() else " " for c in value[: limit * 4]).split())
    return line[:limit].strip() or None


def word(value: object) -> str | None:
    """Return text as a lower-case key."""
    line = text(value)
    return line.lower() if line else None


def slug(value: object) -> str | None:
    """Return text as a key of letters, digits, dots and underscores, joined by hyphens."""
    key = word(value)
    return (NOT_SLUG.sub("-", key).strip("-") or None) if key else None


def number(value: object) -> float | None:
    """Return a finite number that is not negative, from a number or its text."""
    if isinstance(value, str):
        value = value.strip()
        if len(value) > 64 or not NUMBER.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN and infinity fail this comparison too; adding zero turns -0.0 into 0.0.
    return float(value) + 0.0 if 0 <= value <= MAX_NUMBER else None


def percent(value: object) -> float | None:
    """Return a percentage, 0 to 100 and above, with or without its sign."""
    return number(value.strip().removesuffix("%") if isinstance(value, str) else value)


def percent_of_fraction(fraction: object) -> float | None:
    """Return a fraction, 0 to 1 and above, as a percentage; text with % already is one."""
    if isinstance(fraction, str) and fraction.strip().endswith("%"):
        return percent(fraction)
    value = number(fraction)
    return None if value is None else round(value * 100, 6)


def used_percent_of_remaining(fraction: object) -> float | None:
    """Return the used percentage for a remaining fraction; None for more than the whole."""
    remaining = percent_of_fraction(fraction)
    return None if remaining is None or remaining > 100 else round(100 - remaining, 6)


def percent_of_limit(used: object, limit: object) -> float | None:
    """Return an amount as a percentage of a limit; None without a limit above zero."""
    part, whole = number(used), number(limit)
    return round(part / whole * 100, 6) if part is not None and whole else None


def count(value: object) -> int | None:
    """Return a whole number."""
    value = number(value)
    return None if value is None or value != int(value) else int(value)


def seconds(value: object, unit: int = 1) -> int | None:
    """Return a duration in seconds, sent in units of so many seconds; zero is not a duration."""
    length = number(value)
    return (round(length * unit) or None) if length else None


def instant(value: object) -> int | None:
    """Return unix seconds, unix milliseconds or ISO 8601 with a zone as UTC milliseconds."""
    since_epoch = number(value)
    if since_epoch is not None:
        is_milliseconds = since_epoch > MILLISECONDS_FROM
        return plausible_instant(round(since_epoch if is_milliseconds else since_epoch * 1000))
    return _iso_instant(value.strip().upper()) if isinstance(value, str) else None


def plausible_instant(at: int) -> int | None:
    """Return an instant of the years 2001 to 2286, and None for any other."""
    return at if EARLIEST <= at <= LATEST else None


def amount(value: object, digits: int = 0) -> str | None:
    """Return a decimal amount as plain text; the last `digits` digits are minor units."""
    if number(value) is None:
        return None
    decimal = Decimal(str(value).strip()).scaleb(-digits)
    return format(round(decimal, 12).normalize() + 0, "f")


def flag(value: object) -> bool | None:
    """Return a boolean, also from text as written by Python (`True`) or from 1 and 0."""
    if isinstance(value, str | int):
        return FLAGS.get(str(value).strip().lower())
    return None


def _iso_instant(value: str) -> int | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return plausible_instant((moment - EPOCH) // timedelta(milliseconds=1))
