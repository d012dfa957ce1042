"""The values of the quota worker: credentials, requests, answers, readings, windows, providers.

Instants are UTC milliseconds. None means unknown; a number is never used to mean unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Placeholder for the access token in request headers. The proxy's `api-call` replaces the same
# word.
TOKEN = "$TOKEN$"

# States that no further poll can cure: a person has to act, or the credential cannot read quotas.
TERMINAL = frozenset({"needs_login", "deactivated", "unsupported_credential"})

MINUTE_MS = 60_000
# The scope of a refusal of the whole account.
ACCOUNT_SCOPE = ("account", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential of the proxy: its account and the parameters of a request, without a token."""

    account_key: str
    provider: str
    display_name: str
    file_name: str
    auth_index: str | None = None
    account_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    fedramp: bool = False
    plan_raw: str | None = None
    plan_source: str | None = None
    token_expires_at: int | None = None
    subscription_until: int | None = None
    cooldown_until: int | None = None
    disabled: bool = False
    kind: str = "oauth"
    proxy_url: str | None = field(default=None, repr=False)


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
    the account (a group window: whether the group) is usable now. Percentages are stored as the
    provider sent them, not clamped. `observed_at` is set by `quota.windows.finish_windows`.
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
class Refusal:
    """What a provider refused: the account, its overage, or a group of models.

    `windows` are the keys of the account's refused windows, empty where the refusal names none.
    Without `ends_at` the end is unknown. A refusal that `needs_success` is lifted by a success
    only, not by a poll.
    """

    scope: str = "account"
    scope_key: str = ""
    reason: str
    windows: tuple[str, ...] = ()
    refused_at: int
    ends_at: int | None = None
    needs_success: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The content of one answer, or of one event's headers, about an account.

    `state` is None for a reading that is not a poll. A complete reading replaces everything
    stored: windows missing from it are retired and its None replaces older values. A partial
    reading only adds to the stored values. `succeeded` are the scopes of refusals that a
    successful generation has lifted, as (scope, scope_key). `keeps_credits` is set where another
    request has the credits.
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
    refusals: tuple[Refusal, ...] = ()
    succeeded: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    windows: tuple[Window, ...] = ()
    complete: bool = False
    keeps_credits: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The stored state of an account that its verdict depends on.

    `observed_at` is the instant of the last successful reading, which set the flags.
    """

    state: str
    observed_at: int | None = None
    disabled: bool = False
    allowed: bool | None = None
    limit_reached: bool | None = None
    reached_type: str | None = None
    credits_has: bool | None = None
    credits_unlimited: bool | None = None
    credits_overage_reached: bool | None = None
    credits_balance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSignal:
    """The quota content of one usage event; `observed_at` is the event's own time.

    `error` has fields of the failed event's error body: `type`, `resets_at`, `phrases`, …
    """

    provider: str
    headers: Mapping[str, str] = field(repr=False)
    failed: bool
    status_code: int | None
    observed_at: int
    error: Mapping[str, object] | None = None
    model: str = ""


BuildRequest = Callable[[Credential], Request]


@dataclass(frozen=True, slots=True)
class PlanQuery:
    """A separate request for the plan, and the parser of its answer."""

    request: BuildRequest
    parse: Callable[[Answer], Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How to request one provider's quota, and how to parse its answers.

    `bases` are base URLs in the order to try. `parse` takes an answer and the account id that it
    must be about. `fallback` is the request to make when an answer succeeds but has no window of
    the account. `plan` is for providers whose quota answer does not contain the plan.
    `read_headers` parses the quota headers of a generation's answer, and its refusal.
    `scope_of_model` returns the scope of the refusals that a success of a model lifts.
    `workspace_field` is the credential file's field that names the workspace;
    `listing_names_workspace` is set where the proxy's listing names it too. No account is polled
    more often than once in `minimum_interval_ms`.
    """

    bases: tuple[str, ...]
    request: BuildRequest
    parse: Callable[[Answer, str | None], Reading]
    fallback: BuildRequest | None = None
    plan: PlanQuery | None = None
    read_headers: Callable[[HeaderSignal], Reading] | None = None
    scope_of_model: Callable[[str], tuple[str, str]] = lambda _: ACCOUNT_SCOPE
    workspace_field: str | None = None
    listing_names_workspace: bool = False
    minimum_interval_ms: int = MINUTE_MS
