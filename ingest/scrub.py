"""Parse the failure of an attempt: its status, its code and one line without secrets. Pure."""

import html
import json
import re
from typing import NamedTuple

from ingest.payload import Payload
from ledger.redaction import LONGEST_TEXT, redact

LINE_LENGTH, CODE_LENGTH = 200, 60
LONGEST_JSON = 1_000_000
TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")


class Failure(NamedTuple):
    """What a failed attempt said: its code and one line, without secrets."""

    status: int | None
    code: str | None
    message: str | None


def failure(payload: Payload) -> Failure:
    """Give the status, the code and one scrubbed line of a failed attempt."""
    if payload.fail is None:
        return Failure(None, None, None)
    code, line = told(payload.fail.body, [payload.api_key, payload.source])
    status = payload.fail.status_code
    return Failure(status if 0 < status < 1000 else None, code, line or None)


def told(body: str, known: list[str]) -> tuple[str | None, str]:
    """Give the code of an error body and one line without secrets, the `known` ones included."""
    code, message = said(body)
    return named(code), redact(message, known)[:LINE_LENGTH]


def said(body: str) -> tuple[str | None, str]:
    """Find code and message in an error body: JSON of any provider, HTML, or plain text."""
    if len(body) > LONGEST_JSON or not body.lstrip().startswith(("{", "[")):
        title = TITLE.search(body[:LONGEST_TEXT])
        return None, html.unescape(title[1]) if title else body
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None, body
    # Gemini's streams answer with a list.
    found = found[0] if isinstance(found, list) and found else found
    error = found.get("error", found.get("detail", found)) if isinstance(found, dict) else found
    return of_object(error) if isinstance(error, dict) else (None, str(error))


def of_object(error: dict[str, object]) -> tuple[str | None, str]:
    """Find code and message in an error object; the innermost, where a relay has wrapped one."""
    codes = (error.get(name) for name in ("code", "type", "status"))
    code = next((c for c in codes if isinstance(c, str) and c), None)
    message = error.get("message")
    if not isinstance(message, str):
        return code, ""
    inner_code, inner = said(message)
    return inner_code or code, inner


def named(code: str | None) -> str | None:
    """Give a code that is one, and nothing that merely stands in its place."""
    is_code = code and re.fullmatch(rf"[\w.-]{{1,{CODE_LENGTH}}}", code) and redact(code) == code
    return code if is_code else None
