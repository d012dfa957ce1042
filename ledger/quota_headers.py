"""Which response headers of usage events may be stored: those that carry quotas."""

import re
from collections.abc import Iterable, Mapping

# Not the turn state, which is a token, nor the free text of promotions.
ALLOWED = re.compile(
    r"x-codex-(?!turn-|promo-)[a-z0-9._-]+|anthropic-ratelimit-[a-z0-9_-]+|retry-after"
)
MOST_HEADERS, LONGEST_VALUE = 80, 200


def is_allowed(name: str) -> bool:
    """Return whether a response header, in any case, may be stored."""
    return ALLOWED.fullmatch(name.strip().lower()) is not None


def allowed(headers: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the first value of each allowed header, names in lower case.

    Values that are empty or too long are left out; too many headers are not from a provider, and
    then none is returned.
    """
    found: dict[str, str] = {}
    for name, values in headers.items():
        value = next((value for value in values if value.strip()), "")
        if value and len(value) <= LONGEST_VALUE and is_allowed(name):
            found.setdefault(name.strip().lower(), value)
    return found if len(found) <= MOST_HEADERS else {}
