"""Which response headers of usage events may be stored: those that carry quotas."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# Not the turn state, which is a token, nor the free text of promotions.
ALLOWED = re.compile(
    r"x-codex-(?!turn-|promo-)[a-z0-9._-]+|anthropic-ratelimit-[a-z0-9_-]+|retry-after"
)
MOST_HEADERS, LONGEST_VALUE = 80, 200


# The same few names come with every event.
@lru_cache(maxsize=1024)
def stored_name(name: str) -> str | None:
    """Return a header's name in lower case; None for one that may not be stored."""
    lower = name.strip().lower()
    return lower if ALLOWED.fullmatch(lower) else None


def allowed(headers: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the first value of each allowed header, names in lower case.

    Values that are empty or too long are left out; too many headers are not from a provider, and
    then none is returned.
    """
    kept: dict[str, str] = {}
    for name, values in headers.items():
        stored = stored_name(name)
        if stored is None:
            continue
        value = next(filter(str.strip, values), "")
        if value and len(value) <= LONGEST_VALUE:
            kept.setdefault(stored, value)
    return kept if len(kept) <= MOST_HEADERS else {}
