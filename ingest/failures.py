"""Extract the status, the error code and one redacted line from a failed attempt. Pure."""

import html
import json
import re
from typing import NamedTuple

from ingest.payload import Payload
from ledger.redaction import MAX_TEXT_LENGTH, redact

LINE_LENGTH, CODE_LENGTH = 200, 60
MAX_JSON_LENGTH = 1_000_000
TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")


# A client that went away is 499; earlier proxies have its own status, often 200, or 500, with
# Go's error.
CANCELLED_STATUS, CANCELLED_TEXT = 499, "context canceled"
MAYBE_CANCELLED_STATUSES = {0, 200, 500}


class Failure(NamedTuple):
    """The HTTP status, error code and message of a failed attempt, without secrets.

    `cancelled`: the client has cancelled it.
    """

    status: int | None
    code: str | None
    message: str | None
    cancelled: bool = False


def failure(payload: Payload) -> Failure:
    """Return the status, the error code and one redacted line of a failed attempt."""
    if payload.fail is None:
        return Failure(None, None, None)
    code, line = summary(payload.fail.body, [payload.api_key, payload.source])
    status = payload.fail.status_code
    return Failure(
        status if 0 < status < 1000 else None,
        code,
        line or None,
        is_cancelled(status, payload.fail.body),
    )


def is_cancelled(status: int, body: str) -> bool:
    """Return whether the client has cancelled an attempt, by its status and its whole body."""
    if status == CANCELLED_STATUS:
        return True
    return status in MAYBE_CANCELLED_STATUSES and CANCELLED_TEXT in body.lower()


def summary(body: str, secrets: list[str]) -> tuple[str | None, str]:
    """Return the code of an error body and one line of it without `secrets` and other keys."""
    code, message = code_and_message(body)
    return valid_code(code), redact(message, secrets)[:LINE_LENGTH]


def code_and_message(body: str) -> tuple[str | None, str]:
    """Return code and message of an error body: JSON of any provider, HTML, or plain text."""
    if len(body) > MAX_JSON_LENGTH or not body.lstrip().startswith(("{", "[")):
        title = TITLE.search(body[:MAX_TEXT_LENGTH])
        return None, html.unescape(title[1]) if title else body
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None, body
    # Gemini's streams answer with a list.
    content = content[0] if isinstance(content, list) and content else content
    if isinstance(content, dict):
        content = content.get("error", content.get("detail", content))
    return (
        error_object_code_and_message(content)
        if isinstance(content, dict)
        else (None, str(content))
    )


def error_object_code_and_message(error: dict[str, object]) -> tuple[str | None, str]:
    """Return code and message of an error object; of the innermost where a relay wrapped one."""
    codes = (error.get(name) for name in ("code", "type", "status"))
    code = next((code for code in codes if isinstance(code, str) and code), None)
    message = error.get("message")
    if not isinstance(message, str):
        return code, ""
    inner_code, inner_message = code_and_message(message)
    return inner_code or code, inner_message


def valid_code(code: str | None) -> str | None:
    """Return a code that is one word without a secret; None for any other text."""
    is_code = code and re.fullmatch(rf"[\w.-]{{1,{CODE_LENGTH}}}", code) and redact(code) == code
    return code if is_code else None
