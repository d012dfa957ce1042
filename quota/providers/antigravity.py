"""Antigravity: quota summary and tier of …googleapis.com, as read by the Antigravity clients.

POST /v1internal:retrieveUserQuotaSummary. Groups of models have their own 5-hour and weekly
buckets: a group is usable or not, not the account. A bucket without a remaining fraction has
been seen both spent and untouched. POST /v1internal:loadCodeAssist has the tier.
"""

import json
import re
from collections.abc import Iterator, Mapping

from quota.errors import open_answer
from quota.json_fields import (
    decode_json,
    field,
    flag,
    instant,
    items,
    slug,
    text,
    used_percent_of_remaining,
    word,
)
from quota.model import TOKEN, Answer, Credential, PlanQuery, Provider, Reading, Request, Window
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
    windows = [window for group in groups or [] for window in _group_windows(group)]
    return Reading(
        state="bad_response" if groups is None else "ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        windows=finish_windows(windows, answer.observed_at),
        complete=groups is not None,
    )


def plan_request(credential: Credential) -> Request:
    """Return the request for the account's tier."""
    client = json.dumps({"metadata": {"ideType": "ANTIGRAVITY"}})
    return Request("POST", PLAN_PATH, _headers(), client)


def parse_plan(answer: Answer) -> Reading:
    """Parse the paid tier, else the current one."""
    opened = open_answer(answer, "paid_tier", "current_tier")
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    tiers = (field(body, "paid_tier"), field(body, "current_tier"))
    names = (word(field(tier, "id")) for tier in tiers if isinstance(tier, Mapping))
    plan = next(filter(None, names), None)
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
    )


PROVIDER = Provider(
    bases=BASES,
    request=request,
    parse=parse,
    plan=PlanQuery(plan_request, parse_plan),
    workspace_field="project_id",
)


def _headers() -> dict[str, str]:
    return {
        "Authorization": f"Bearer {TOKEN}",
        "User-Agent": AGENT,
        "Content-Type": "application/json",
    }


def _groups(body: object) -> list[object] | None:
    spots = [body, *(field(body, wrapper) for wrapper in WRAPPERS)]
    objects = (decode_json(spot) if isinstance(spot, str) else spot for spot in spots)
    lists = (field(spot, "groups") for spot in objects)
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
    for spot in ("window", "bucket_id", "display_name"):
        words = word(field(bucket, spot)) or ""
        for pattern, length in LENGTHS:
            if pattern.search(words):
                return length
    return None
