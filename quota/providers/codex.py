"""Codex: usage, spend caps, banked resets and rate-limit headers of chatgpt.com.

GET /backend-api/wham/usage as read by openai/codex: `rate_limit` objects with up to three
windows, the third being a month beside 5 hours and a week.
The usage answer has `primary_window` with seconds; the stream event `codex.rate_limits` and the
response headers have `primary` with minutes.

Headers of generation answers as read by openai/codex and CLIProxyAPI:
`x-codex-primary-used-percent`, `-window-minutes`, `-reset-at`, `-reset-after-seconds`, the same
for `secondary`, and again for each extra limit with its name before them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quota.errors import open_answer
from quota.json_fields import (
    amount,
    count,
    field,
    flag,
    instant,
    items,
    mapping,
    percent,
    percent_of_limit,
    seconds,
    slug,
    text,
    word,
)
from quota.model import (
    ACCOUNT_SCOPE,
    TOKEN,
    Answer,
    Credential,
    HeaderSignal,
    Provider,
    Reading,
    Refusal,
    Request,
    Window,
)
from quota.windows import FIVE_HOURS, MONTH, WEEK, finish_windows, reset_instant, window_name

BASES = ("https://chatgpt.com",)
PATH = "/backend-api/wham/usage"
RESETS_PATH = "/backend-api/wham/rate-limit-reset-credits"
AGENT = "codex_cli_rs/0.144.1 (Debian 13.0.0; x86_64) WindowsTerminal"
REQUIRED = ("rate_limit", "rate_limits", "plan_type", "spend_control")
REVIEW = ("code_review_rate_limit", "code_review_rate_limits")
# Only a window without a length is named by its position.
POSITIONS = (("primary", FIVE_HOURS), ("secondary", WEEK), ("tertiary", MONTH))
# The stream event calls an extra limit by its display name, answers by the metered feature.
FEATURES = {"gpt-5.3-codex-spark": "codex_bengalfox", "gpt-reserve": "base_model_inference"}
CAPS = {
    "individual": "individual_limit",
    "group_default": "group_default_limit",
    "workspace_default": "workspace_default_limit",
    "role_budget": "role_budget_limit",
    "group_shared": "group_shared_limit",
    "workspace_shared": "workspace_shared_limit",
}

FAMILY = re.compile(r"(x-codex-(?:(.+)-)?)(?:primary|secondary|tertiary)-used-percent")
# The values of `x-codex-active-limit` that mean the account's ordinary limit.
ACCOUNT_LIMITS = ("", "premium", "codex")
FLAG_FIELDS = ("allowed", "limit_reached")
CREDIT_FIELDS = ("has_credits", "unlimited", "balance")
WINDOW_FIELDS = ("used_percent", "window_minutes", "reset_after_seconds", "reset_at")
LIMIT_REACHED, NOT_INCLUDED = "usage_limit_reached", "usage_not_included"
SPARK = "codex_bengalfox"


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit that windows belong to, and when and from which source it was read."""

    observed_at: int
    source: str = "api"
    scope: str = "account"
    scope_key: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ResetCredits:
    """How many resets are banked, and when the first of them lapses."""

    available: int | None
    first_expires_at: int | None


def request(credential: Credential) -> Request:
    """Return the request for an account's usage.

    Without the account id a team's token is answered for another workspace.
    """
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    headers["User-Agent"] = AGENT
    if credential.account_id:
        headers["ChatGPT-Account-Id"] = credential.account_id
    if credential.fedramp:
        headers["X-OpenAI-Fedramp"] = "true"
    return Request("GET", PATH, headers)


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Parse plan, flags, credits, and the windows of the account, its features and its spend."""
    opened = open_answer(answer, *REQUIRED)
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    if _is_other_workspace(body, expected_account_id):
        return Reading(
            state="wrong_workspace", observed_at=answer.observed_at, http_status=answer.status
        )
    rate_limit = field(body, "rate_limit", "rate_limits")
    plan = word(field(body, "plan_type"))
    reached = _reached_type(field(body, "rate_limit_reached_type"))
    windows = finish_windows(_usage_windows(body, answer.observed_at), answer.observed_at)
    allowed = flag(field(rate_limit, "allowed"))
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        allowed=allowed,
        limit_reached=flag(field(rate_limit, "limit_reached")),
        reached_type=reached,
        reset_credits=count(field(field(body, "rate_limit_reset_credits"), "available_count")),
        refusals=tuple(_poll_refusals(windows, reached)) if allowed is False else (),
        windows=windows,
        complete=rate_limit is None or isinstance(rate_limit, dict),
        **_credits(field(body, "credits")),
    )


def read_headers(signal: HeaderSignal) -> Reading:
    """Parse lower-case headers, and the error of a 429, into windows, plan, flags and credits.

    The unprefixed headers describe the limit that this request counted against: the account's
    only if `x-codex-active-limit` says so or is absent.
    """
    headers, observed_at = signal.headers, signal.observed_at
    active = _active_limit(headers)
    code = _error_code(signal.error)
    plan = word(headers.get("x-codex-plan-type"))
    own = {} if active else headers
    reached = text(own.get("x-codex-rate-limit-reached-type"))
    windows = finish_windows(
        _header_windows(headers, Limit(observed_at, "header"), active=active), observed_at
    )
    refusal = None if active else _refusal(signal, code, reached=reached, windows=windows)
    return Reading(
        state=None,
        observed_at=observed_at,
        error_code=code,
        plan_raw=plan,
        plan_source="header" if plan else None,
        allowed=flag(own.get("x-codex-allowed")),
        limit_reached=flag(own.get("x-codex-limit-reached")),
        reached_type=None if signal.failed else reached,
        reset_credits=count(headers.get("x-codex-rate-limit-reset-credits-available-count")),
        refusals=(refusal,) if refusal else (),
        succeeded=() if active or signal.failed else (ACCOUNT_SCOPE,),
        windows=windows,
        **_credits(_header_fields(headers, "x-codex-credits-", names=CREDIT_FIELDS)),
    )


PROVIDER = Provider(
    bases=BASES,
    request=request,
    parse=parse,
    read_headers=read_headers,
    scope_of_model=lambda model: ("feature", SPARK) if "spark" in model else ACCOUNT_SCOPE,
    workspace_field="account_id",
    listing_names_workspace=True,
)


def resets_request(credential: Credential) -> Request:
    """Return the request for an account's banked full resets.

    They are read only to show when they lapse. Redeeming one is left to the owner.
    """
    usage = request(credential)
    extra = {"OpenAI-Beta": "codex-1", "originator": "Codex Desktop"}
    return replace(usage, path=RESETS_PATH, headers={**usage.headers, **extra})


def parse_resets(answer: Answer) -> ResetCredits | Reading:
    """Parse the banked resets, or return the reading of a failed answer."""
    opened = open_answer(answer, "available_count", "credits")
    if isinstance(opened, Reading):
        return opened
    _, body = opened
    credits = [c for c in items(field(body, "credits")) if field(c, "status") == "available"]
    expiries = (instant(field(credit, "expires_at")) for credit in credits)
    available = count(field(body, "available_count"))
    return ResetCredits(available, min((at for at in expiries if at), default=None))


def _is_other_workspace(body: object, expected: str | None) -> bool:
    answered, user = text(field(body, "account_id")), text(field(body, "user_id"))
    # A personal account may answer with its user id, which no token contains as account id.
    if not (expected and answered) or answered == user or answered.startswith("user-"):
        return False
    return answered.lower() != expected.lower()


def _poll_refusals(windows: tuple[Window, ...], reached: str | None) -> Iterator[Refusal]:
    """Return the refusal of an answer that does not allow the account for its spent windows."""
    spent = [w for w in windows if w.scope == "account" and (w.used_percent or 0) >= 100]
    if spent:
        resets = [w.resets_at for w in spent if w.resets_at]
        yield Refusal(
            reason=reached or "limit_reached",
            windows=tuple(w.window_key for w in spent),
            refused_at=spent[0].observed_at,
            ends_at=max(resets) if len(resets) == len(spent) else None,
        )


def _reached_type(reached: object) -> str | None:
    """Return why an account is blocked: `{type}`, or a bare word in older answers."""
    return text(field(reached, "type")) or text(reached)


def _credits(credits: object) -> dict[str, Any]:
    """Return the fields of a reading about overage credits.

    Credits are neither dollars nor a share of any window.
    """
    return {
        "credits_has": flag(field(credits, "has_credits")),
        "credits_unlimited": flag(field(credits, "unlimited")),
        "credits_overage_reached": flag(field(credits, "overage_limit_reached")),
        "credits_balance": amount(field(credits, "balance")),
    }


def _usage_windows(body: object, observed_at: int) -> Iterator[Window]:
    account = Limit(observed_at)
    review = replace(account, scope="feature", scope_key="code_review", title="Code review")
    yield from _limit_windows(field(body, "rate_limit", "rate_limits"), account)
    yield from _limit_windows(field(body, *REVIEW), review)
    yield from _additional_windows(field(body, "additional_rate_limits"), account)
    yield from _model_windows(field(body, "model_usage"))
    yield from _spend_windows(body, observed_at)


def _model_windows(models: object) -> Iterator[Window]:
    """Parse the models that are unavailable until an instant; they have no percentage."""
    for model, usage in mapping(models).items():
        available, name = flag(field(usage, "available")), text(model)
        if available is False and name:
            yield Window(
                scope="model",
                scope_key=slug(name) or "",
                window_key="unknown",
                label=name,
                resets_at=instant(field(usage, "available_at")),
                allowed=False,
                limit_reached=True,
            )


def _limit_windows(rate_limit: object, limit: Limit) -> Iterator[Window]:
    """Parse the windows of one limit; a window without any value is omitted."""
    for position, fallback_length in POSITIONS:
        content = field(rate_limit, f"{position}_window", position)
        window = _limit_window(content, limit, fallback_length)
        if window:
            yield replace(
                window,
                allowed=flag(field(rate_limit, "allowed")),
                limit_reached=flag(field(rate_limit, "limit_reached")),
            )


def _additional_windows(extras: object, limit: Limit) -> Iterator[Window]:
    """Parse the extra limits, a list of them or an object by name; each keeps its own windows."""
    listed: list[tuple[str | None, object]] = [(None, entry) for entry in items(extras)]
    for name, entry in listed or mapping(extras).items():
        title = text(field(entry, "limit_name")) or text(name)
        feature = slug(field(entry, "metered_feature")) or _feature_of_title(title)
        if feature:
            own = replace(limit, scope="feature", scope_key=feature, title=title or feature)
            yield from _limit_windows(field(entry, "rate_limit", "rate_limits") or entry, own)


def _feature_of_title(title: object) -> str | None:
    """Return the metered feature for an extra limit's display name."""
    name = slug(title)
    return FEATURES.get(name, name) if name else None


def _limit_window(content: object, limit: Limit, fallback_length: int) -> Window | None:
    used = percent(field(content, "used_percent"))
    length = seconds(field(content, "limit_window_seconds"))
    length = length or seconds(field(content, "window_minutes"), unit=60)
    resets_at = _reset(content, limit.observed_at)
    if not (length or resets_at or used):
        return None
    key, span = window_name(length or fallback_length)
    return Window(
        scope=limit.scope,
        scope_key=limit.scope_key,
        window_key=key,
        label=f"{limit.title} {span}".strip(),
        window_seconds=length or fallback_length,
        used_percent=used,
        resets_at=resets_at,
        gating=limit.scope == "account",
        assumed=length is None,
        source=limit.source,
    )


def _reset(content: object, observed_at: int) -> int | None:
    reset_at, after = field(content, "reset_at"), field(content, "reset_after_seconds")
    return reset_instant(reset_at, after, observed_at=observed_at)


def _spend_windows(body: object, observed_at: int) -> Iterator[Window]:
    """Parse the spend caps of the calendar month.

    Caps count credits, which are neither dollars nor a share of any window. A reached cap that
    is not in the answer gets its own window.
    """
    control = field(body, "spend_control")
    reached = flag(field(control, "reached"))
    named = text(field(control, "reached_limit_type"))
    # Without a type, any cap in the answer must be the reached one.
    reached_by = {kind: reached and (named is None or named == kind) for kind in CAPS}
    caps = [(kind, cap) for kind in CAPS for cap in _caps(body, CAPS[kind])]
    if reached and not any(reached_by[kind] for kind, _ in caps):
        caps.append((named if named in CAPS else "unnamed", {}))
    for kind, cap in caps:
        window = _cap_window(kind, cap, observed_at=observed_at)
        yield replace(window, limit_reached=reached_by.get(kind, True))


def _caps(body: object, key: str) -> list[object]:
    # The individual cap has been seen in three places.
    spots = (field(body, "spend_control"), body, field(body, "rate_limit"))
    content = next((cap for cap in (field(spot, key) for spot in spots) if cap), None)
    return [cap for cap in items(content) or [content] if mapping(cap)]


def _cap_window(kind: str, content: object, *, observed_at: int) -> Window:
    cap = mapping(field(content, "details")) or content
    used, limit = field(cap, "used"), field(cap, "limit")
    used_percent = percent(field(cap, "used_percent"))
    owner = text(field(content, "group_name")) or kind.replace("_", " ")
    return Window(
        scope="spend",
        scope_key=kind,
        window_key="month",
        label=f"{owner} monthly spend",
        used_percent=percent_of_limit(used, limit) if used_percent is None else used_percent,
        used_value=amount(used),
        limit_value=amount(limit),
        unit="credits",
        resets_at=_reset(cap, observed_at),
        gating=True,
    )


def _refusal(
    signal: HeaderSignal, code: str | None, *, reached: str | None, windows: tuple[Window, ...]
) -> Refusal | None:
    """Return the refusal of a failed generation by the account's limit; None for other failures.

    `{"error": {"type": "usage_limit_reached", "resets_at", "resets_in_seconds"}}` or the inner
    object, as answered with 429 by chatgpt.com and read by openai/codex. A reached type alone
    names neither window nor end: credits of a workspace are used up.
    """
    if not signal.failed or not (code or reached):
        return None
    inner = field(signal.error, "error") or signal.error
    ends_at = reset_instant(
        field(inner, "resets_at"), field(inner, "resets_in_seconds"), observed_at=signal.observed_at
    )
    spent = [w for w in windows if w.gating and (w.used_percent or 0) >= 100]
    if ends_at is None and spent and code != NOT_INCLUDED:
        ends_at = max((w.resets_at for w in spent if w.resets_at), default=None)
    is_endless = ends_at is None and not spent
    return Refusal(
        reason=code if code and not (is_endless and reached) else reached or LIMIT_REACHED,
        windows=tuple(w.window_key for w in spent),
        refused_at=signal.observed_at,
        ends_at=None if code == NOT_INCLUDED else ends_at,
        needs_success=code == NOT_INCLUDED or (is_endless and reached is not None),
    )


def _error_code(error: object) -> str | None:
    inner = field(error, "error") or error
    codes = (word(field(inner, "type")), word(field(inner, "code")))
    return next((code for code in codes if code in (LIMIT_REACHED, NOT_INCLUDED)), None)


def _active_limit(headers: Mapping[str, str]) -> str:
    """Return the metered feature that the unprefixed headers describe; "" for the account."""
    name = word(headers.get("x-codex-active-limit")) or ""
    return "" if name in ACCOUNT_LIMITS else FEATURES.get(name, name.replace("-", "_"))


def _header_windows(headers: Mapping[str, str], limit: Limit, *, active: str) -> Iterator[Window]:
    families = [match for match in map(FAMILY.fullmatch, headers) if match]
    # The family by its own name comes last and replaces the unprefixed copy of it.
    families.sort(key=lambda family: family[2] is not None)
    prefixes = {_feature_of_family(family[2], active): family[1] for family in families}
    for feature, prefix in prefixes.items():
        title = (text(headers.get(f"{prefix}limit-name")) or feature) if feature else ""
        scope = "feature" if feature else "account"
        own = replace(limit, scope=scope, scope_key=feature, title=title)
        content: dict[str, object] = dict(_header_fields(headers, prefix, names=FLAG_FIELDS))
        content |= {
            position: _header_window(headers, f"{prefix}{position}-") for position, _ in POSITIONS
        }
        yield from _limit_windows(content, own)


def _feature_of_family(family: str | None, active: str) -> str:
    if family is None:
        return active
    if family.startswith("additional-"):
        return _feature_of_title(family.removeprefix("additional-")) or family
    if family == "code-review":
        return "code_review"
    # `x-codex-bengalfox-…` is the metered feature `codex_bengalfox` of the usage answer.
    return f"codex_{family.replace('-', '_').removeprefix('codex_')}"


def _header_window(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    window = _header_fields(headers, prefix, names=WINDOW_FIELDS)
    # A window that does not exist is sent as zeros.
    has_length = seconds(window.get("window_minutes")) is not None
    return window if has_length and percent(window.get("used_percent")) is not None else {}


def _header_fields(
    headers: Mapping[str, str], prefix: str, *, names: tuple[str, ...]
) -> dict[str, str]:
    spellings = {name: prefix + name.replace("_", "-") for name in names}
    return {name: headers[header] for name, header in spellings.items() if header in headers}
