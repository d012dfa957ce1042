"""The values of the quota room: a request, an answer, and what an answer says about an account.

Instants are UTC milliseconds. None means unknown or not told, and is never a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Stands for the access token in request headers. The proxy's `api-call` fills in the same word.
TOKEN = "$TOKEN$"

# States that no further poll can cure: a person has to act, or the credential cannot read quotas.
TERMINAL = frozenset({"needs_login", "deactivated", "unsupported_credential"})


@dataclass(frozen=True, slots=True)
class Request:
    """One quota request; `path` is relative to the provider's base URL."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower-case, each with its first non-empty value."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | str = field(repr=False)
    observed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One limit over one span of time.

    Scope is `account`, `feature`, `model`, `group` or `spend`. A gating window decides whether
    the account (a group's: the group) is usable now. Percentages are as told, unclamped.
    `observed_at` is set when a reading is finished (`quota.durations.settled`).
    """

    scope: str
    scope_key: str = ""
    window_key: str
    label: str
    window_seconds: int | None = None
    used_percent: float | None = None
    used_value: str | None = None
    limit_value: str | None = None
    unit: str | None = None
    resets_at: int | None = None
    started: bool | None = None
    allowed: bool | None = None
    limit_reached: bool | None = None
    gating: bool = False
    assumed: bool = False
    source: str = "api"
    observed_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one answer, or one event's headers, says about an account.

    `state` is None when it was not a poll. A complete reading is the whole truth: windows
    missing from it are gone and its None replaces older facts. A partial one adds to them.
    """

    state: str | None
    observed_at: int
    http_status: int | None = None
    error_code: str | None = None
    error_text: str | None = None
    plan_raw: str | None = None
    plan_source: str | None = None
    allowed: bool | None = None
    limit_reached: bool | None = None
    reached_type: str | None = None
    credits_has: bool | None = None
    credits_unlimited: bool | None = None
    credits_overage_reached: bool | None = None
    credits_balance: str | None = None
    reset_credits: int | None = None
    exhausted_until: int | None = None
    windows: tuple[Window, ...] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's stored state, as far as "usable now" depends on it.

    `observed_at` is the instant of the last successful reading, whose flags these are.
    `exhausted_at` is the instant at which `exhausted_until` was heard.
    """

    state: str
    observed_at: int | None = None
    disabled: bool = False
    allowed: bool | None = None
    limit_reached: bool | None = None
    reached_type: str | None = None
    exhausted_until: int | None = None
    exhausted_at: int | None = None
