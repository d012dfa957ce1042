"""Claude: usage, extra usage, plan and rate-limit headers of api.anthropic.com.

GET /api/oauth/usage as read by Claude Code and CodexBar: there is no flag for "blocked"; a scoped
limit at 100 % may come with a null legacy window. GET /api/oauth/profile as read by Claude Code
has the plan.

Headers `anthropic-ratelimit-unified-…` of generation answers as read by CLIProxyAPI: each claim
(`5h`, `7d`, `7d_oi` …) has a utilization, here a fraction, a reset in unix seconds and a status.
A claim with a suffix belongs to one model and never blocks the account.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

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
    percent_of_fraction,
    percent_of_limit,
    slug,
    snake,
    text,
    word,
)
from quota.model import (
    ACCOUNT_SCOPE,
    MINUTE_MS,
    TOKEN,
    Answer,
    Credential,
    HeaderSignal,
    PlanQuery,
    Provider,
    Reading,
    Refusal,
    Request,
    Window,
)
from quota.windows import DAY, FIVE_HOURS, HOUR, MONTH, WEEK, finish_windows, window_name

BASES = ("https://api.anthropic.com",)
PATH = "/api/oauth/usage"
PLAN_PATH = "/api/oauth/profile"
# Any other agent is always answered with 429.
AGENT = "claude-cli/2.1.100 (external, cli)"
REQUIRED = ("five_hour", "seven_day", "limits", "extra_usage", "spend")
LENGTHS = {"five_hour": FIVE_HOURS, "seven_day": WEEK}
KINDS = {"session": FIVE_HOURS, "weekly_all": WEEK}
MODELS = ("opus", "sonnet", "haiku")
# A scoped week of this name is the account's own.
ALL_MODELS = "all models"
GROUPS = {"session": FIVE_HOURS, "daily": DAY, "weekly": WEEK, "monthly": MONTH}
CENT_DIGITS = 2

PREFIX = "anthropic-ratelimit-unified-"
CLAIM = re.compile(PREFIX + r"(([1-9]\d{0,2})([hd])(?:_([a-z0-9_]+))?)-(?:utilization|status)")
UNITS = {"h": HOUR, "d": DAY}
CLAIM_TITLES = {"oi": "overage-included"}
ACCOUNT_CLAIMS = {"five_hour": "5h", "seven_day": "7d"}
OVERAGE_SCOPE = ("overage", "")
OUT_OF_EXTRA_USAGE = "out of extra usage"


def request(credential: Credential) -> Request:
    """Return the request for the usage of the account whose token is sent; it needs no id."""
    return Request("GET", PATH, _headers())


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Parse the windows of the account, of models and of extra usage; there are no flags."""
    opened = open_answer(answer, *REQUIRED)
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    windows = _usage_windows(body)
    extra = list(_extra_usage(body))
    if not any(window.gating for window in windows):
        # An enterprise seat has nothing but its budget, which then decides.
        extra = [replace(budget, gating=budget.limit_value is not None) for budget in extra]
    windows += extra
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        reset_credits=_banked_resets(body, answer.observed_at),
        refusals=_disabled_overage(body, windows, answer.observed_at),
        windows=finish_windows(windows, answer.observed_at),
        complete=all(isinstance(field(body, key), dict | list | None) for key in REQUIRED),
    )


def plan_request(credential: Credential) -> Request:
    """Return the request for the profile of the account whose token is sent."""
    return Request("GET", PLAN_PATH, _headers())


def parse_plan(answer: Answer) -> Reading:
    """Parse the plan: the organisation's type, else the account's own flags, max before pro."""
    opened = open_answer(answer, "account", "organization")
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    account = field(body, "account")
    plan = word(field(field(body, "organization"), "organization_type"))
    for name in ("claude_max", "claude_pro"):
        plan = plan or (name if flag(field(account, f"has_{name}")) else None)
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
    )


def read_headers(signal: HeaderSignal) -> Reading:
    """Parse lower-case headers into windows and flags; the body of a refusal adds nothing."""
    headers, observed_at = signal.headers, signal.observed_at
    claims = {match[1]: match for match in map(CLAIM.fullmatch, headers) if match}
    claim_windows = [_claim_window(headers, claim) for claim in claims.values()]
    # A status without a utilization is informative only if it refuses.
    informative = (w for w in claim_windows if w.used_percent is not None or w.limit_reached)
    windows = finish_windows(informative, observed_at)
    status = word(headers.get(f"{PREFIX}status"))
    rejected = status == "rejected" and _refuses_account(headers, windows)
    permitted = status is not None and status.startswith("allowed")
    refusals = [
        refusal
        for refusal in (
            _account_refusal(signal, windows, rejected=rejected),
            _overage_refusal(signal, windows),
        )
        if refusal
    ]
    succeeded = [] if signal.failed else [ACCOUNT_SCOPE]
    if (word(headers.get(f"{PREFIX}overage-status")) or "").startswith("allowed"):
        succeeded.append(OVERAGE_SCOPE)
    return Reading(
        state=None,
        observed_at=observed_at,
        allowed=False if rejected else True if permitted else None,
        limit_reached=True if rejected else False if permitted else None,
        # Overage that is served is the account's credits, whatever its amount.
        credits_has=True if OVERAGE_SCOPE in succeeded else None,
        refusals=tuple(refusals),
        succeeded=tuple(succeeded),
        windows=windows,
    )


PROVIDER = Provider(
    bases=BASES,
    request=request,
    parse=parse,
    plan=PlanQuery(plan_request, parse_plan),
    read_headers=read_headers,
    workspace_field="organization_uuid",
    minimum_interval_ms=3 * MINUTE_MS,
)


def _headers() -> dict[str, str]:
    return {
        "Authorization": f"Bearer {TOKEN}",
        "anthropic-beta": "oauth-2025-04-20",
        "Content-Type": "application/json",
        "User-Agent": AGENT,
    }


def _usage_windows(body: Mapping[str, object]) -> list[Window]:
    """Return named and listed windows, without the legacy window of a model in the list."""
    named, listed = list(_named(body)), list(_listed(body))
    models = [row.scope_key for row in listed if row.scope == "model"]
    legacy = [row for row in named if row.scope == "model"]
    outdated = [row for row in legacy if any(row.scope_key in model for model in models)]
    return [*(row for row in named if row not in outdated), *listed]


def _listed(body: Mapping[str, object]) -> Iterator[Window]:
    """Parse `limits`: the newer list, and the only one that is right about models."""
    for limit in items(field(body, "limits")):
        kind = word(field(limit, "kind")) or ""
        scope = field(limit, "scope")
        model = text(field(field(scope, "model"), "display_name", "id"))
        surface = field(scope, "surface")
        surface = text(field(surface, "display_name", "id")) or text(surface)
        group = GROUPS.get(word(field(limit, "group")) or "")
        used, resets_at = percent(field(limit, "percent")), instant(field(limit, "resets_at"))
        if kind in KINDS:
            yield _window("account", "", length=KINDS[kind], used=used, resets_at=resets_at)
        elif kind == "weekly_scoped" and (model or surface or "").lower() == ALL_MODELS:
            yield _window("account", "", length=WEEK, used=used, resets_at=resets_at)
        elif title := model or surface:
            scope_name = "model" if model else "feature"
            length = WEEK if kind == "weekly_scoped" else group
            yield _window(scope_name, title, length=length, used=used, resets_at=resets_at)
        elif kind and kind != "weekly_scoped":
            # An unknown kind gets a row, but blocks nothing.
            title = kind.replace("_", " ")
            yield _window("feature", title, length=group, used=used, resets_at=resets_at)


def _named(body: Mapping[str, object]) -> Iterator[Window]:
    """Parse the named windows; those under code names count while they are not null."""
    for key, value in ((snake(key), value) for key, value in body.items()):
        if "utilization" not in mapping(value) or key == "extra_usage":
            continue
        used, resets_at = percent(field(value, "utilization")), instant(field(value, "resets_at"))
        suffix = key.removeprefix("seven_day_")
        if key in LENGTHS:
            yield _window("account", "", length=LENGTHS[key], used=used, resets_at=resets_at)
        elif suffix != key:
            scope = "model" if suffix.startswith(MODELS) else "feature"
            title = suffix.replace("_", " ")
            yield _window(scope, title, length=WEEK, used=used, resets_at=resets_at)
        else:
            title = key.replace("_", " ")
            yield _window("feature", title, length=None, used=used, resets_at=resets_at)


def _window(
    scope: str, title: str, *, length: int | None, used: float | None, resets_at: int | None
) -> Window:
    key, span = window_name(length) if length else ("unknown", "")
    title = title[:1].upper() + title[1:]
    return Window(
        scope=scope,
        scope_key=(slug(title) or "") if title else "",
        window_key=key,
        label=f"{title} {span}".strip(),
        window_seconds=length,
        used_percent=used,
        resets_at=resets_at,
        # An idle account has 0 % and no reset until its first request.
        started=False if used == 0 and resets_at is None else None,
        gating=scope == "account",
        assumed=length is None,
    )


def _extra_usage(body: object) -> Iterator[Window]:
    """Parse the monthly budget that takes over when the plan's windows are spent.

    It is `extra_usage` in minor units of its currency, or the newer `spend` with its exponent. It
    counts while it is enabled, and is not served where a reason for that is stated. It only
    lifts a block. An absent limit is no cap.
    """
    extra_usage, spend = field(body, "extra_usage"), field(body, "spend")
    spent = field(spend, "used")
    if flag(field(extra_usage, "is_enabled")):
        ratio, digits, unit = (
            field(extra_usage, "utilization"),
            CENT_DIGITS,
            field(extra_usage, "currency"),
        )
        used, limit = field(extra_usage, "used_credits"), field(extra_usage, "monthly_limit")
        disabled_reason = text(field(extra_usage, "disabled_reason"))
    elif flag(field(spend, "enabled")):
        ratio, digits, unit = (
            field(spend, "percent"),
            _minor_digits(spent),
            field(spent, "currency"),
        )
        used, limit = field(spent, "amount_minor"), field(field(spend, "limit"), "amount_minor")
        disabled_reason = text(field(spend, "disabled_reason"))
    else:
        return
    used_percent = percent(ratio)
    yield Window(
        scope="spend",
        scope_key="extra_usage",
        window_key="month",
        label="extra usage",
        used_percent=percent_of_limit(used, limit) if used_percent is None else used_percent,
        used_value=amount(used, digits),
        limit_value=amount(limit, digits),
        unit=text(unit, 12),
        limit_reached=True if disabled_reason else None,
    )


def _disabled_overage(
    body: object, windows: Iterable[Window], observed_at: int
) -> tuple[Refusal, ...]:
    """Return the refusal of overage that an answer states, until the spent windows have reset.

    A later answer without the reason has been seen while requests were refused all the same.
    """
    reasons = (field(field(body, name), "disabled_reason") for name in ("extra_usage", "spend"))
    reason = next(filter(None, map(word, reasons)), None)
    spent = [w for w in windows if w.scope == "account" and (w.used_percent or 0) >= 100]
    ends = [w.resets_at for w in spent if w.resets_at and w.resets_at > observed_at]
    if reason is None or not ends:
        return ()
    refusal = Refusal(scope="overage", reason=reason, refused_at=observed_at, ends_at=max(ends))
    return (refusal,)


def _banked_resets(body: Mapping[str, object], now: int) -> int | None:
    """Return how many resets are banked: the grants, under a code name, that have not lapsed."""
    grants = (field(value, "grants") for value in body.values())
    lists = [each for each in grants if isinstance(each, list)]
    if not lists:
        return None
    expiries = [instant(field(grant, "expires_at")) for each in lists for grant in each]
    return sum(expires_at is None or expires_at > now for expires_at in expiries)


def _minor_digits(money: object) -> int:
    exponent = count(field(money, "exponent"))
    return CENT_DIGITS if exponent is None else min(exponent, 8)


def _claim_window(headers: Mapping[str, str], claim: re.Match[str]) -> Window:
    claim_prefix = f"{PREFIX}{claim[1]}-"
    length = int(claim[2]) * UNITS[claim[3]]
    key, span = window_name(length)
    model = claim[4] or ""
    status = word(headers.get(f"{claim_prefix}status"))
    return Window(
        scope="model" if model else "account",
        scope_key=model,
        window_key=key,
        label=f"{CLAIM_TITLES.get(model, model)} {span}".strip(),
        window_seconds=length,
        used_percent=percent_of_fraction(headers.get(f"{claim_prefix}utilization")),
        resets_at=instant(headers.get(f"{claim_prefix}reset")),
        limit_reached=None if status is None else status == "rejected",
        gating=not model,
        source="header",
    )


def _refuses_account(headers: Mapping[str, str], windows: tuple[Window, ...]) -> bool:
    # The unified status is also `rejected` when only a model's own claim is.
    refusing = [window for window in windows if window.limit_reached]
    claim = word(headers.get(f"{PREFIX}representative-claim"))
    if refusing:
        return any(window.gating for window in refusing)
    return claim is None or claim in ACCOUNT_CLAIMS


def _account_refusal(
    signal: HeaderSignal, windows: tuple[Window, ...], *, rejected: bool
) -> Refusal | None:
    """Return the refusal of the whole account by its own windows, or because overage is missing."""
    headers, refused_at = signal.headers, signal.observed_at
    if not signal.failed:
        return None
    if OUT_OF_EXTRA_USAGE in str(field(signal.error, "phrases") or ""):
        return Refusal(reason="out_of_extra_usage", refused_at=refused_at)
    disabled = word(headers.get(f"{PREFIX}overage-disabled-reason"))
    if rejected:
        claim = ACCOUNT_CLAIMS.get(word(headers.get(f"{PREFIX}representative-claim")) or "")
        refused = tuple(w.window_key for w in windows if w.gating and w.limit_reached)
        return Refusal(
            reason="usage_limit_reached",
            windows=refused or ((claim,) if claim else ()),
            refused_at=refused_at,
            ends_at=_exhausted_until(headers, windows),
        )
    # Without any status, a reason against overage is the only thing that can have refused.
    has_status = any(name.endswith("status") for name in headers if name.startswith(PREFIX))
    if disabled and not has_status:
        return Refusal(reason=disabled, refused_at=refused_at)
    return None


def _overage_refusal(signal: HeaderSignal, windows: tuple[Window, ...]) -> Refusal | None:
    """Return the refusal of overage; it holds until the reset of the window that needs it."""
    headers = signal.headers
    status = word(headers.get(f"{PREFIX}overage-status"))
    reason = word(headers.get(f"{PREFIX}overage-disabled-reason"))
    if status != "rejected" and (reason is None or status is not None):
        return None
    claim = ACCOUNT_CLAIMS.get(word(headers.get(f"{PREFIX}representative-claim")) or "")
    ends_at = [w.resets_at for w in windows if w.gating and w.window_key == claim]
    return Refusal(
        scope="overage",
        reason=reason or "overage_rejected",
        refused_at=signal.observed_at,
        ends_at=_exhausted_until(headers, windows) or next(iter(ends_at), None),
    )


def _exhausted_until(headers: Mapping[str, str], windows: tuple[Window, ...]) -> int | None:
    # The unified reset may belong to another window than the one that refuses.
    resets = [window.resets_at for window in windows if window.gating and window.limit_reached]
    if resets:
        return max((resets_at for resets_at in resets if resets_at), default=None)
    return instant(headers.get(f"{PREFIX}reset"))
