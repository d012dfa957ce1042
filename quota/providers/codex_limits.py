"""Codex limits: a `rate_limit` object with up to two windows, as read by openai/codex.

GET /backend-api/wham/usage gives `primary_window` with seconds, the stream event
`codex.rate_limits` and the response headers give `primary` with minutes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from quota.durations import FIVE_HOURS, WEEK, name, reset
from quota.fields import field, items, mapping, slug, text
from quota.model import Window
from quota.numbers import flag, percent, seconds

# Only a window without a length is named by its position.
POSITIONS = (("primary", FIVE_HOURS), ("secondary", WEEK))
# The stream event calls an extra limit by its display name, answers by the metered feature.
FEATURES = {"gpt-5.3-codex-spark": "codex_bengalfox", "gpt-reserve": "base_model_inference"}


@dataclass(frozen=True, slots=True)
class Limit:
    """Whose windows they are, and when and how that was learnt."""

    observed_at: int
    source: str = "api"
    scope: str = "account"
    scope_key: str = ""
    title: str = ""

    def label(self, span: str) -> str:
        """Put the limit's title, if it has one, before the name of a span."""
        return f"{self.title} {span}".strip()


def windows(rate_limit: object, limit: Limit) -> Iterator[Window]:
    """Read the windows of one limit; a window that says nothing at all is none."""
    flags = {
        "allowed": flag(field(rate_limit, "allowed")),
        "limit_reached": flag(field(rate_limit, "limit_reached")),
    }
    for position, fallback in POSITIONS:
        told = mapping(field(rate_limit, f"{position}_window", position))
        window = _window(told, limit, flags=flags, fallback=fallback)
        if window:
            yield window


def additional(extras: object, limit: Limit) -> Iterator[Window]:
    """Read the extra limits, a list of them or an object by name; each keeps its own rows."""
    named = mapping(extras)
    entries = [(None, entry) for entry in items(extras)] or list(named.items())
    for told_name, entry in entries:
        title = text(field(entry, "limit_name")) or text(told_name)
        feature = slug(field(entry, "metered_feature")) or feature_named(title)
        if feature:
            own = replace(limit, scope="feature", scope_key=feature, title=title or feature)
            yield from windows(field(entry, "rate_limit", "rate_limits") or entry, own)


def feature_named(title: object) -> str | None:
    """Return the feature an extra limit's display name stands for."""
    found = slug(title)
    return FEATURES.get(found, found) if found else None


def _window(
    told: Mapping[str, object], limit: Limit, *, flags: Mapping[str, bool | None], fallback: int
) -> Window | None:
    used = percent(field(told, "used_percent"))
    length = seconds(field(told, "limit_window_seconds"))
    length = length or seconds(field(told, "window_minutes"), unit=60)
    resets_at = reset(
        field(told, "reset_at"), field(told, "reset_after_seconds"), observed_at=limit.observed_at
    )
    if not (length or resets_at or used):
        return None
    key, span = name(length or fallback)
    return Window(
        scope=limit.scope,
        scope_key=limit.scope_key,
        window_key=key,
        label=limit.label(span),
        window_seconds=length or fallback,
        used_percent=used,
        resets_at=resets_at,
        gating=limit.scope == "account",
        assumed=length is None,
        source=limit.source,
        **flags,
    )
