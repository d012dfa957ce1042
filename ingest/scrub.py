"""Take the secrets out of what may be kept of a failure or of a rejected record. Pure."""

import html
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ingest.payload import Payload

LINE_LENGTH, EXCERPT_LENGTH, CODE_LENGTH = 200, 300, 60
LONGEST_LOOK = 4000
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
REPLACED = [
    (re.compile(r"(?i)\b(?:set-)?cookie\b\s*[:=].*"), "<cookie>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 <secret>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+"), "<url>"),
    (EMAIL, "<email>"),
    (
        re.compile(
            r"\b(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|github_pat|AIza|ya29|eyJ|AKIA)[\w.~+/=-]{4,}"
            r"|\b[A-Za-z]+(?:-[A-Za-z0-9]+)*-(?:key|token|secret|cookie)[\w-]*"
        ),
        "<secret>",
    ),
    (
        re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\[[0-9a-fA-F:]{3,}\](?::\d+)?"),
        "<address>",
    ),
    (re.compile(r"(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{24,}"), "<secret>"),
]
TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")
NAME = re.compile(r"[\w./:*+()@ -]{0,120}")
TIME = re.compile(r"[0-9TZtz:+. -]{0,40}")
# Fields whose text is a name of the proxy's own; every other text is taken for a secret.
NAMES = {
    "alias",
    "auth_index",
    "auth_type",
    "endpoint",
    "executor_type",
    "model",
    "provider",
    "quality",
    "reasoning_effort",
    "request_id",
    "request_service_tier",
    "response_service_tier",
    "service_tier",
}
FIELDS = NAMES | {
    "accounting_version",
    "api_key",
    "body",
    "cache_creation_tokens",
    "cache_read_tokens",
    "cache_read_tokens_present",
    "cache_write_tokens",
    "cached_tokens",
    "fail",
    "failed",
    "generate",
    "input",
    "input_tokens",
    "latency_ms",
    "non_reasoning_tokens",
    "output",
    "output_tokens",
    "reasoning_tokens",
    "response_headers",
    "schema_version",
    "source",
    "status_code",
    "timestamp",
    "token_breakdown",
    "tokens",
    "total_tokens",
    "ttft_ms",
    "uncached_tokens",
    "unclassified_tokens",
}
Replace = Callable[[str], str]


class Failure(NamedTuple):
    """What a failed attempt said: its code and one line, without secrets."""

    status: int | None
    code: str | None
    message: str | None


def failure(payload: Payload) -> Failure:
    """Give the status, the code and one scrubbed line of a failed attempt."""
    if payload.fail is None:
        return Failure(None, None, None)
    code, message = said(payload.fail.body)
    known = [secret for secret in (payload.api_key, payload.source) if secret]
    line = scrubbed(message, known)[:LINE_LENGTH]
    status = payload.fail.status_code
    return Failure(status if 0 < status < 1000 else None, code, line or None)


def said(body: str) -> tuple[str | None, str]:
    """Find code and message in an error body: JSON of any provider, HTML, or plain text."""
    if not body.lstrip().startswith("{"):
        title = TITLE.search(body[:LONGEST_LOOK])
        return None, html.unescape(title[1]) if title else body
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return None, body
    error = error.get("error", error.get("detail", error))
    if not isinstance(error, dict):
        return None, str(error)
    codes = (error.get(name) for name in ("code", "type", "status"))
    code = next((c for c in codes if isinstance(c, str) and c), None)
    message = error.get("message")
    return named(code), message if isinstance(message, str) else ""


def named(code: str | None) -> str | None:
    """Give a code that is one, and nothing that merely stands in its place."""
    return code if code and re.fullmatch(rf"[\w.-]{{1,{CODE_LENGTH}}}", code) else None


def scrubbed(text: str, known: list[str] | None = None) -> str:
    """Give text as one line without addresses, keys, tokens and the `known` secrets."""
    text = " ".join(text[:LONGEST_LOOK].split())
    for secret in known or []:
        text = text.replace(secret, "<secret>")
    for pattern, instead in REPLACED:
        text = pattern.sub(instead, text)
    return "".join(c for c in text if c.isprintable())


def kept_record(raw: bytes, replace: Replace) -> tuple[str, str]:
    """Give ('json', the record with its secrets replaced) or ('excerpt', scrubbed text)."""
    try:
        record = json.loads(raw)
        return "json", json.dumps(without_secrets(record, "", replace), ensure_ascii=True)
    except (ValueError, RecursionError):
        text = raw[:LONGEST_LOOK].decode("utf-8", "replace")
        return "excerpt", scrubbed(text)[:EXCERPT_LENGTH]


def without_secrets(value: Any, field: str, replace: Replace) -> Any:
    """Replace every text that is not known to be harmless; keep shape, numbers and flags."""
    if isinstance(value, dict):
        return {
            key if key in FIELDS else replace(key): without_secrets(inner, key, replace)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner, field, replace) for inner in value]
    if not isinstance(value, str) or is_harmless(value, field):
        return value
    return scrubbed(value)[:LINE_LENGTH] if field == "body" else replace(value)


def is_harmless(text: str, field: str) -> bool:
    """Tell whether a field's text may be kept as it is."""
    if field == "timestamp":
        return bool(TIME.fullmatch(text))
    if field == "source":
        return bool(EMAIL.fullmatch(text))
    return (
        field in NAMES and bool(NAME.fullmatch(text)) and scrubbed(text) == " ".join(text.split())
    )
