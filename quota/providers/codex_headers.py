"""Codex quota headers of generation answers, as read by openai/codex and CLIProxyAPI.

`x-codex-primary-used-percent`, `-window-minutes`, `-reset-at`, `-reset-after-seconds`, the same
for `secondary`, and again for each extra limit with its name before them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from quota.durations import reset, settled
from quota.fields import field, text, word
from quota.model import Reading, Window
from quota.numbers import count, flag, percent, seconds
from quota.providers.codex_limits import FEATURES, Limit, feature_named, windows
from quota.providers.codex_spend import credits

FAMILY = re.compile(r"(x-codex-(?:(.+)-)?)(?:primary|secondary)-used-percent")
# What `x-codex-active-limit` calls the account's ordinary limit.
ORDINARY = ("", "premium", "codex")
FLAGS = ("allowed", "limit_reached")
CREDITS = ("has_credits", "unlimited", "balance")
WINDOW = ("used_percent", "window_minutes", "reset_after_seconds", "reset_at")
REACHED, NOT_INCLUDED = "usage_limit_reached", "usage_not_included"


def read(headers: Mapping[str, str], error: object, *, observed_at: int) -> Reading:
    """Read lower-case headers, and the error of a 429, into windows, plan, flags and credits.

    The unprefixed headers describe the limit that this request counted against: the account's
    only if `x-codex-active-limit` says so or is absent.
    """
    active = _active(headers)
    code = _error_code(error)
    plan = word(headers.get("x-codex-plan-type"))
    told = {} if active else headers
    reached = text(told.get("x-codex-rate-limit-reached-type"))
    return Reading(
        state=None,
        observed_at=observed_at,
        error_code=code,
        plan_raw=plan,
        plan_source="header" if plan else None,
        allowed=flag(told.get("x-codex-allowed")),
        limit_reached=flag(told.get("x-codex-limit-reached")),
        reached_type=reached or (NOT_INCLUDED if code == NOT_INCLUDED else None),
        reset_credits=count(headers.get("x-codex-rate-limit-reset-credits-available-count")),
        exhausted_until=None if active else exhausted_until(error, observed_at),
        windows=settled(
            _windows(headers, Limit(observed_at, "header"), active=active), observed_at
        ),
        **credits({"credits": _picked(headers, "x-codex-credits-", names=CREDITS)}),
    )


def exhausted_until(error: object, observed_at: int) -> int | None:
    """Return until when a refused generation says that the plan's limit is reached.

    `{"error": {"type": "usage_limit_reached", "resets_at", "resets_in_seconds"}}` or the inner
    object, as answered with 429 by chatgpt.com and read by openai/codex.
    """
    inner = field(error, "error") or error
    if _error_code(error) != REACHED:
        return None
    return reset(
        field(inner, "resets_at"), field(inner, "resets_in_seconds"), observed_at=observed_at
    )


def _error_code(error: object) -> str | None:
    inner = field(error, "error") or error
    told = (word(field(inner, "type")), word(field(inner, "code")))
    return next((code for code in told if code in (REACHED, NOT_INCLUDED)), None)


def _active(headers: Mapping[str, str]) -> str:
    told = word(headers.get("x-codex-active-limit")) or ""
    return "" if told in ORDINARY else FEATURES.get(told, told.replace("-", "_"))


def _windows(headers: Mapping[str, str], limit: Limit, *, active: str) -> Iterator[Window]:
    found = [match for match in map(FAMILY.fullmatch, headers) if match]
    # The family by its own name comes last and replaces the unprefixed copy of it.
    prefixes = {_feature(match[2], active): match[1] for match in sorted(found, key=_is_named)}
    for feature, prefix in prefixes.items():
        title = (text(headers.get(f"{prefix}limit-name")) or feature) if feature else ""
        scope = "feature" if feature else "account"
        own = replace(limit, scope=scope, scope_key=feature, title=title)
        told: dict[str, object] = dict(_picked(headers, prefix, names=FLAGS))
        told |= {side: _shown(headers, f"{prefix}{side}-") for side in ("primary", "secondary")}
        yield from windows(told, own)


def _is_named(match: re.Match[str]) -> bool:
    return match[2] is not None


def _feature(family: str | None, active: str) -> str:
    if family is None:
        return active
    if family.startswith("additional-"):
        return feature_named(family.removeprefix("additional-")) or family
    if family == "code-review":
        return "code_review"
    # `x-codex-bengalfox-…` is the metered feature `codex_bengalfox` of the usage answer.
    return f"codex_{family.replace('-', '_').removeprefix('codex_')}"


def _shown(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    told = _picked(headers, prefix, names=WINDOW)
    # A window that does not exist is sent as zeros.
    exists = seconds(told.get("window_minutes")) and percent(told.get("used_percent")) is not None
    return told if exists else {}


def _picked(headers: Mapping[str, str], prefix: str, *, names: tuple[str, ...]) -> dict[str, str]:
    spelled = {name: prefix + name.replace("_", "-") for name in names}
    return {name: headers[header] for name, header in spelled.items() if header in headers}
