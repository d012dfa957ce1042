"""Codex credits and spend caps of GET /backend-api/wham/usage, as read by openai/codex.

Both count credits, which are no dollars and no share of any window.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from quota.durations import reset
from quota.fields import field, items, mapping, text
from quota.model import Window
from quota.numbers import amount, flag, percent, share

CAPS = {
    "individual": "individual_limit",
    "group_default": "group_default_limit",
    "workspace_default": "workspace_default_limit",
    "role_budget": "role_budget_limit",
    "group_shared": "group_shared_limit",
    "workspace_shared": "workspace_shared_limit",
}


def credits(body: object) -> dict[str, Any]:
    """Return the fields of a reading that tell of overage credits."""
    told = field(body, "credits")
    return {
        "credits_has": flag(field(told, "has_credits")),
        "credits_unlimited": flag(field(told, "unlimited")),
        "credits_overage_reached": flag(field(told, "overage_limit_reached")),
        "credits_balance": amount(field(told, "balance")),
    }


def spend(body: object, observed_at: int) -> Iterator[Window]:
    """Read the spend caps of the calendar month; a reached one that is not shown has its row."""
    control = field(body, "spend_control")
    reached = flag(field(control, "reached"))
    named = text(field(control, "reached_limit_type"))
    # Without a type, whatever cap there is must be the reached one.
    hits = {kind: reached and (named is None or named == kind) for kind in CAPS}
    shown = [(kind, cap) for kind in CAPS for cap in _caps(body, CAPS[kind])]
    if reached and not any(hits[kind] for kind, _ in shown):
        shown.append((named if named in CAPS else "unnamed", {}))
    for kind, cap in shown:
        yield replace(
            _window(kind, cap, observed_at=observed_at), limit_reached=hits.get(kind, True)
        )


def _caps(body: object, key: str) -> list[object]:
    # The individual cap has been seen in three places.
    spots = (field(body, "spend_control"), body, field(body, "rate_limit"))
    told = next((found for found in (field(spot, key) for spot in spots) if found), None)
    return [cap for cap in items(told) or [told] if mapping(cap)]


def _window(kind: str, told: object, *, observed_at: int) -> Window:
    cap = mapping(field(told, "details")) or told
    used, limit = field(cap, "used"), field(cap, "limit")
    percent_used = percent(field(cap, "used_percent"))
    whose = text(field(told, "group_name")) or kind.replace("_", " ")
    return Window(
        scope="spend",
        scope_key=kind,
        window_key="month",
        label=f"{whose} monthly spend",
        used_percent=share(used, limit) if percent_used is None else percent_used,
        used_value=amount(used),
        limit_value=amount(limit),
        unit="credits",
        resets_at=reset(
            field(cap, "reset_at"), field(cap, "reset_after_seconds"), observed_at=observed_at
        ),
        gating=True,
    )
