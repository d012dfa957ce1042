"""Quota that comes for free: headers and refusals carried by the proxy's usage events.

`response_headers` of usage events of router-for-me/CLIProxyAPI since v7.1.13, Codex and Claude.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from quota.answers import first_values
from quota.model import Reading
from quota.providers import claude_headers, codex_headers

# Not the turn state, which is a token, nor the free text of promotions.
ALLOWED = re.compile(
    r"x-codex-(?!turn-|promo-)[a-z0-9._-]+|anthropic-ratelimit-[a-z0-9_-]+|retry-after"
)
READERS = {"codex": codex_headers.read, "claude": claude_headers.read}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What one usage event may tell of quota; `observed_at` is the event's own time.

    `error` is the failed event's error object: `type`, `resets_at`, `resets_in_seconds`.
    """

    provider: str
    headers: Mapping[str, str] = field(repr=False)
    failed: bool
    status_code: int | None
    observed_at: int
    error: Mapping[str, object] | None = None


def is_allowed(name: str) -> bool:
    """Tell whether a response header, in any case, may be kept."""
    return ALLOWED.fullmatch(name.strip().lower()) is not None


def allowed(headers: Mapping[str, object]) -> dict[str, str]:
    """Keep the allowed headers of a map of values or of lists, names in lower case."""
    return {name: value for name, value in first_values(headers).items() if is_allowed(name)}


def read(signal: Signal) -> Reading | None:
    """Read what a usage event says about its account's quota; None when it says nothing.

    Only successes and 429s are read: the proxy leaves one attempt's headers to the next, so
    any other failure may carry those of another account.
    """
    reader = READERS.get(signal.provider)
    if reader is None or (signal.failed and signal.status_code != 429):
        return None
    error = signal.error if signal.failed else None
    reading = reader(first_values(signal.headers), error, observed_at=signal.observed_at)
    return None if reading == Reading(state=None, observed_at=signal.observed_at) else reading
