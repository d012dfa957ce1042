"""Antigravity: POST …googleapis.com/v1internal:retrieveUserQuotaSummary, as read by its clients.

Groups of models have their own 5-hour and weekly buckets: usable is a group's, not the
account's. A bucket without a remaining fraction has been seen both spent and untouched.
"""

import json
import re
from collections.abc import Iterator

from quota.answers import decoded
from quota.durations import DAY, FIVE_HOURS, HOUR, WEEK, name, settled
from quota.errors import opened
from quota.fields import field, items, slug, text, word
from quota.identity import Credential
from quota.model import TOKEN, Answer, Reading, Request, Window
from quota.numbers import flag, instant, percent_used

# Production may report a constant 1.0 while daily has the real numbers.
BASES = (
    "https://daily-cloudcode-pa.googleapis.com",
    "https://daily-cloudcode-pa.sandbox.googleapis.com",
    "https://cloudcode-pa.googleapis.com",
)
PATH = "/v1internal:retrieveUserQuotaSummary"
AGENT = "antigravity/1.104.0 darwin/arm64"
WRAPPERS = ("response", "summary", "body")
SPANS = (
    (re.compile(r"\b5[ -]?h|five[ -]?hour|session"), FIVE_HOURS),
    (re.compile(r"week|\b7[ -]?d"), WEEK),
    (re.compile(r"month|\b30[ -]?d"), 30 * DAY),
    (re.compile(r"daily|\b24[ -]?h|\b1[ -]?d"), 24 * HOUR),
)
BUCKET = re.compile(r"(.+)-(5h|weekly|daily|monthly)")


def request(credential: Credential) -> Request:
    """Ask for the quota summary of the credential's project."""
    project = {"project": credential.project_id} if credential.project_id else {}
    headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": AGENT}
    headers["Content-Type"] = "application/json"
    return Request("POST", PATH, headers, json.dumps(project))


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Read each group's windows; a bucket whose remaining fraction is missing stays unknown."""
    found = opened(answer, "groups", *WRAPPERS)
    if isinstance(found, Reading):
        return found
    answer, body = found
    groups = _groups(body)
    windows = [window for group in groups or [] for window in _group(group)]
    return Reading(
        state="bad_response" if groups is None else "ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        windows=settled(windows, answer.observed_at),
        complete=groups is not None,
    )


def _groups(body: object) -> list[object] | None:
    spots = [body, *(field(body, wrapper) for wrapper in WRAPPERS)]
    opened_up = (decoded(spot) if isinstance(spot, str) else spot for spot in spots)
    lists = (field(spot, "groups") for spot in opened_up)
    return next((items(found) for found in lists if isinstance(found, list)), None)


def _group(group: object) -> Iterator[Window]:
    buckets = items(field(group, "buckets"))
    title = text(field(group, "display_name"))
    names = (BUCKET.fullmatch(word(field(bucket, "bucket_id")) or "") for bucket in buckets)
    # Bucket ids are steadier than titles, which are written for people.
    key = next((slug(found[1]) for found in names if found), None) or slug(title) or "unnamed"
    for bucket in buckets:
        if not flag(field(bucket, "disabled")):
            yield _window(bucket, key, title=title or key)


def _window(bucket: object, group: str, *, title: str) -> Window:
    length = _length(bucket)
    key, span = name(length) if length else ("unknown", text(field(bucket, "display_name")) or "")
    left = field(bucket, "remaining_fraction")
    nested = field(bucket, "remaining")
    return Window(
        scope="group",
        scope_key=group,
        window_key=key,
        label=f"{title} {span}".strip(),
        window_seconds=length,
        used_percent=percent_used(
            field(nested, "remaining_fraction", "value") if left is None else left
        ),
        resets_at=instant(field(bucket, "reset_time")),
        gating=True,
        assumed=length is None,
    )


def _length(bucket: object) -> int | None:
    for spot in ("window", "bucket_id", "display_name"):
        said = word(field(bucket, spot)) or ""
        for pattern, length in SPANS:
            if pattern.search(said):
                return length
    return None
