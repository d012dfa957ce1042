"""Careful access to JSON that may have any shape: a wrong type reads like an absent key."""

import re
from collections.abc import Mapping

CAMEL = re.compile(r"_([a-z0-9])")
CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
NOT_SLUG = re.compile(r"[^a-z0-9._]+")


def mapping(value: object) -> Mapping[str, object]:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """Return a list, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def field(source: object, *names: str) -> object:
    """Return the first value under these names that is not null, in snake_case or camelCase."""
    known = mapping(source)
    for name in names:
        for spelling in (name, CAMEL.sub(lambda found: found[1].upper(), name)):
            if known.get(spelling) is not None:
                return known[spelling]
    return None


def has(source: object, *names: str) -> bool:
    """Tell whether an object has one of these keys, in snake_case or camelCase, null or not."""
    return not {snake(name) for name in mapping(source)}.isdisjoint(names)


def snake(name: str) -> str:
    """Spell a camelCase key in snake_case."""
    return CAPITAL.sub(r"_\1", name).lower()


def text(value: object, limit: int = 100) -> str | None:
    """Return printable text on one line, or None when there is none."""
    if not isinstance(value, str):
        return None
    line = " ".join("".join(c if c.isprintable() else " " for c in value[: limit * 4]).split())
    return line[:limit].strip() or None


def word(value: object) -> str | None:
    """Return text as a lower-case key."""
    found = text(value)
    return found.lower() if found else None


def slug(value: object) -> str | None:
    """Return text as a key of letters, digits, dots and underscores, joined by hyphens."""
    found = word(value)
    return (NOT_SLUG.sub("-", found).strip("-") or None) if found else None
