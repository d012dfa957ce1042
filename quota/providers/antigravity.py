"""Antigravity: quota summary and tier of …googleapis.com, as read by the Antigravity clients.

POST /v1internal:retrieveUserQuotaSummary. Groups of models have their own 5-hour and weekly
buckets: a group is usable or not, not the account. A bucket without a remaining fraction has
been seen both spent and untouched. POST /v1internal:loadCodeAssist has the tier and the credits.

A generation that is refused with 429 has the reason QUOTA_EXHAUSTED and the reset of the model's
group, as read by CLIProxyAPI; RATE_LIMIT_EXCEEDED is over in moments.
"""

import json
import re
from collections.abc import Iterator, Mapping

from quota.errors import open_answer
from quota.json_fields import (
    amount,
    decode_json,
    field,
    flag,
    instant,
    items,
    number,
    plausible_instant,
    slug,
    text,
    used_percent_of_remaining,
    word,
)
from quota.model import (
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
from quota.windows import DAY, FIVE_HOURS, HOUR, WEEK, finish_windows, window_name

# Production may report a constant 1.0 while daily has the real numbers.
BASES = (
    "https://daily-cloudcode-pa.googleapis.com",
    "https://daily-cloudcode-pa.sandbox.googleapis.com",
    "https://cloudcode-pa.googleapis.com",
)
PATH = "/v1internal:retrieveUserQuotaSummary"
PLAN_PATH = "/v1internal:loadCodeAssist"
AGENT = "antigravity/1.104.0 darwin/arm64"
WRAPPERS = ("response", "summary", "body")
LENGTHS = (
    (re.compile(r"\b5[ -]?h|five[ -]?hour|session"), FIVE_HOURS),
    (re.compile(r"week|\b7[ -]?d"), WEEK),
    (re.compile(r"month|\b30[ -]?d"), 30 * DAY),
    (re.compile(r"daily|\b24[ -]?h|\b1[ -]?d"), 24 * HOUR),
)
EXHAUSTED = "QUOTA_EXHAUSTED"
DELAY = re.compile(r"(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,7}(?:\.\d{1,9})?)s)?")
BUCKET = re.compile(r"(.+)-(5h|weekly|daily|monthly)")


def request(credential: Credential) -> Request:
    """Return the request for the quota summary of the credential's project."""
    project = {"project": credential.project_id} if credential.project_id else {}
    return Request("POST", PATH, _headers(), json.dumps(project))


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Parse each group's windows; a bucket without a remaining fraction stays unknown."""
    opened = open_answer(answer, "groups", *WRAPPERS)
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    groups = _groups(body)
    # An error may come as 200, with a code and without groups.
    if not groups and any(_error_code(content) for content in (body, *_nested_objects(body))):
        groups = None
    windows = [window for group in groups or [] for window in _group_windows(group)]
    return Reading(
        state="bad_response" if groups is None else "ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        windows=finish_windows(windows, answer.observed_at),
        complete=groups is not None,
        keeps_credits=True,
    )


def plan_request(credential: Credential) -> Request:
    """Return the request for the account's tier."""
    client = json.dumps({"metadata": {"ideType": "ANTIGRAVITY"}})
    return Request("POST", PLAN_PATH, _headers(), client)


def parse_plan(answer: Answer) -> Reading:
    """Parse the paid tier, else the current one, and the credits of the paid tier."""
    opened = open_answer(answer, "paid_tier", "current_tier")
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    tiers = (field(body, "paid_tier"), field(body, "current_tier"))
    names = (word(field(tier, "id")) for tier in tiers if isinstance(tier, Mapping))
    plan = next(filter(None, names), None)
    credits = field(field(body, "paid_tier"), "available_credits")
    amounts = [number(field(credit, "credit_amount")) for credit in items(credits)]
    balance = sum(value for value in amounts if value) if isinstance(credits, list) else None
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        credits_has=None if balance is None else balance > 0,
        credits_balance=amount(balance),
    )


def read_headers(signal: HeaderSignal) -> Reading:
    """Parse the refusal of a generation; headers have no quota."""
    error, observed_at = signal.error, signal.observed_at
    exhausted = signal.failed and (
        field(error, "reason") == EXHAUSTED or "exhausted your" in str(field(error, "phrases"))
    )
    scope, key = scope_of_model(text(field(error, "model")) or signal.model)
    refusal = Refusal(
        scope=scope,
        scope_key=key,
        reason="quota_exhausted",
        refused_at=observed_at,
        ends_at=_exhausted_until(error, observed_at),
    )
    return Reading(state=None, observed_at=observed_at, refusals=(refusal,) if exhausted else ())


def scope_of_model(model: str) -> tuple[str, str]:
    """Return the group that a model's requests count against."""
    return "group", "gemini" if "gemini" in model.lower() else "3p"


PROVIDER = Provider(
    bases=BASES,
    request=request,
    parse=parse,
    plan=PlanQuery(plan_request, parse_plan),
    read_headers=read_headers,
    scope_of_model=scope_of_model,
    workspace_field="project_id",
)


def _headers() -> dict[str, str]:
    return {
        "Authorization": f"Bearer {TOKEN}",
        "User-Agent": AGENT,
        "Content-Type": "application/json",
    }


def _exhausted_until(error: object, observed_at: int) -> int | None:
    resets_at = instant(field(error, "quota_reset_time_stamp", "resets_at"))
    for name in ("quota_reset_delay", "retry_delay"):
        if resets_at is None and (delay := _delay_ms(field(error, name))):
            resets_at = plausible_instant(observed_at + delay)
    return resets_at


def _delay_ms(value: object) -> int | None:
    """Return a duration like `3h55m12.5s` in ms."""
    parts = DELAY.fullmatch(value) if isinstance(value, str) else None
    if not value or not parts:
        return None
    hours, minutes, seconds_part = (float(part or 0) for part in parts.groups())
    return round(((hours * 60 + minutes) * 60 + seconds_part) * 1000)


def _error_code(content: object) -> object:
    return field(content, "code") or field(field(content, "error"), "code")


def _nested_objects(body: object) -> list[object]:
    objects = (field(body, wrapper) for wrapper in WRAPPERS)
    return [decode_json(content) if isinstance(content, str) else content for content in objects]


def _groups(body: object) -> list[object] | None:
    lists = (field(content, "groups") for content in (body, *_nested_objects(body)))
    return next((items(groups) for groups in lists if isinstance(groups, list)), None)


def _group_windows(group: object) -> Iterator[Window]:
    buckets = items(field(group, "buckets"))
    title = text(field(group, "display_name"))
    ids = (BUCKET.fullmatch(word(field(bucket, "bucket_id")) or "") for bucket in buckets)
    # Bucket ids change less often than titles, which are written for people.
    key = next((slug(match[1]) for match in ids if match), None) or slug(title) or "unnamed"
    for bucket in buckets:
        if not flag(field(bucket, "disabled")):
            yield _window(bucket, key, title=title or key)


def _window(bucket: object, group: str, *, title: str) -> Window:
    length = _length(bucket)
    unnamed = ("unknown", text(field(bucket, "display_name")) or "")
    key, span = window_name(length) if length else unnamed
    remaining = field(bucket, "remaining_fraction")
    if remaining is None:
        remaining = field(field(bucket, "remaining"), "remaining_fraction", "value")
    return Window(
        scope="group",
        scope_key=group,
        window_key=key,
        label=f"{title} {span}".strip(),
        window_seconds=length,
        used_percent=used_percent_of_remaining(remaining),
        resets_at=instant(field(bucket, "reset_time")),
        gating=True,
        assumed=length is None,
    )


def _length(bucket: object) -> int | None:
    for name in ("window", "bucket_id", "display_name"):
        words = word(field(bucket, name)) or ""
        for pattern, length in LENGTHS:
            if pattern.search(words):
                return length
    return None
