"""Claude quota headers, `anthropic-ratelimit-unified-…`, as read by CLIProxyAPI.

Each claim (`5h`, `7d`, `7d_oi` …) has a utilization, here a fraction, a reset in unix seconds
and a status. A claim with a suffix is a model's own and never blocks the account.
"""

import re
from collections.abc import Mapping

from quota.durations import DAY, HOUR, name, settled
from quota.fields import word
from quota.model import Reading, Window
from quota.numbers import instant, percent_of

PREFIX = "anthropic-ratelimit-unified-"
CLAIM = re.compile(PREFIX + r"(([1-9]\d{0,2})([hd])(?:_([a-z0-9_]+))?)-(?:utilization|status)")
UNITS = {"h": HOUR, "d": DAY}
TITLES = {"oi": "overage-included"}
ORDINARY = ("five_hour", "seven_day")


def read(headers: Mapping[str, str], error: object, *, observed_at: int) -> Reading:
    """Read lower-case headers into windows and flags; the body of a refusal adds nothing."""
    claims = {found[1]: found for found in map(CLAIM.fullmatch, headers) if found}
    read_windows = [_window(headers, found) for found in claims.values()]
    # A status without a utilization is news only if it refuses.
    news = (w for w in read_windows if w.used_percent is not None or w.limit_reached)
    windows = settled(news, observed_at)
    status = word(headers.get(f"{PREFIX}status"))
    rejected = status == "rejected" and _whole_account(headers, windows)
    permitted = status is not None and status.startswith("allowed")
    return Reading(
        state=None,
        observed_at=observed_at,
        allowed=False if rejected else True if permitted else None,
        limit_reached=True if rejected else False if permitted else None,
        exhausted_until=_until(headers, windows) if rejected else None,
        windows=windows,
    )


def _window(headers: Mapping[str, str], claim: re.Match[str]) -> Window:
    own = f"{PREFIX}{claim[1]}-"
    length = int(claim[2]) * UNITS[claim[3]]
    key, span = name(length)
    model = claim[4] or ""
    status = word(headers.get(f"{own}status"))
    return Window(
        scope="model" if model else "account",
        scope_key=model,
        window_key=key,
        label=f"{TITLES.get(model, model)} {span}".strip(),
        window_seconds=length,
        used_percent=percent_of(headers.get(f"{own}utilization")),
        resets_at=instant(headers.get(f"{own}reset")),
        limit_reached=None if status is None else status == "rejected",
        gating=not model,
        source="header",
    )


def _whole_account(headers: Mapping[str, str], windows: tuple[Window, ...]) -> bool:
    # The unified status is also `rejected` when only a model's own claim is.
    refusing = [window for window in windows if window.limit_reached]
    claim = word(headers.get(f"{PREFIX}representative-claim"))
    if refusing:
        return any(window.gating for window in refusing)
    return claim is None or claim in ORDINARY


def _until(headers: Mapping[str, str], windows: tuple[Window, ...]) -> int | None:
    # The unified reset may be another window's than the one that refuses.
    own = [window.resets_at for window in windows if window.gating and window.limit_reached]
    if own:
        return max((at for at in own if at), default=None)
    return instant(headers.get(f"{PREFIX}reset"))
