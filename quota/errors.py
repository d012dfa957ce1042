"""Map a failed answer to the state of its account, by the same rules for every provider.

Statuses, codes and texts as answered by chatgpt.com to openai/codex, by api.anthropic.com to
Claude Code, and by the Cloudflare edge before both.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime

from ledger.redaction import MAX_TEXT_LENGTH, redact_strictly
from quota.json_fields import decode_json, field, has, mapping, text
from quota.model import Answer, Reading

CLOCK_TOLERANCE_MS = 60_000
CODES = {
    "token_expired": "token_expired",
    "token_invalidated": "needs_login",
    "token_revoked": "needs_login",
    "account_deactivated": "deactivated",
    "deactivated_workspace": "deactivated",
    "cloudflare_challenge": "blocked_network",
}
# The code may be missing, or the text nested where no code is: then the text decides.
PHRASES = {
    re.compile(r"missing scopes|scope requirement"): "unsupported_credential",
    re.compile(r"account has been deactivated|deactivated[ _]workspace"): "deactivated",
    re.compile(r"workspace (is|has been|was) deactivated"): "deactivated",
    re.compile(r"token[^.]{0,40} (is|has) expired"): "token_expired",
    re.compile(r"invalidated oauth token|token has been (invalidated|revoked)"): "needs_login",
}
MAX_LINE_LENGTH = 200
TITLE = re.compile(r"<title[^>]{0,200}>(.*?)</title", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<[^<>]*>")
CODE = re.compile(r"(?=.*[a-z])[a-z0-9_.-]{1,64}")


def open_answer(answer: Answer, *required: str) -> tuple[Answer, dict[str, object]] | Reading:
    """Return an answer with the right date and its JSON object, or the reading of its failure.

    A 2xx answer must have one of the required keys: an error sent as 200 is not an empty quota.
    """
    answer = with_server_date(answer)
    body = decode_json(answer.body)
    if 200 <= answer.status < 300 and has(body, *required):
        return answer, dict(mapping(body))
    codes = list(_codes(answer, body))
    mapped = [code for code in codes if code in CODES]
    return Reading(
        state=_state(answer, mapped),
        observed_at=answer.observed_at,
        http_status=answer.status,
        error_code=next(iter(mapped + codes), None),
        error_text=_error_text(answer, body),
    )


def error_line(text: str) -> str | None:
    """Return one line of at most 200 characters without secrets; HTML is reduced to its title."""
    title = TITLE.search(text[: 4 * MAX_TEXT_LENGTH])
    line = redact_strictly(TAG.sub(" ", title[1] if title else text[:MAX_TEXT_LENGTH]))
    return line[: MAX_LINE_LENGTH - 1] + "…" if len(line) > MAX_LINE_LENGTH else line or None


def with_server_date(answer: Answer) -> Answer:
    """Return an answer dated by its `Date` header if the local clock is over a minute off."""
    try:
        date = parsedate_to_datetime(answer.headers.get("date", ""))
        sent_at = int(date.timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return answer
    if abs(sent_at - answer.observed_at) > CLOCK_TOLERANCE_MS:
        return replace(answer, observed_at=sent_at)
    return answer


def _state(answer: Answer, mapped_codes: list[str]) -> str:
    status = answer.status
    if status == 429:
        return "rate_limited"
    if 200 <= status < 400:
        return "bad_response"
    if answer.headers.get("cf-mitigated") == "challenge":
        return "blocked_network"
    if status >= 500 or status == 404:
        return "unavailable"
    if _is_html(answer):
        return "blocked_network"
    return CODES[mapped_codes[0]] if mapped_codes else _state_of_phrase(answer)


def _state_of_phrase(answer: Answer) -> str:
    words = _body_text(answer, 4000).lower()
    for phrase, state in PHRASES.items():
        if phrase.search(words):
            return state
    return "auth_error" if answer.status in (401, 402, 403) else "bad_response"


def _codes(answer: Answer, body: object) -> Iterator[str]:
    error, detail = field(body, "error"), field(body, "detail")
    candidates = [field(error, "code"), field(error, "type"), field(error, "status"), error]
    candidates += [field(detail, "code"), detail, field(body, "code")]
    candidates += [answer.headers.get("x-openai-authorization-error"), _header_code(answer)]
    for candidate in candidates:
        code = candidate.strip().lower() if isinstance(candidate, str) else ""
        if CODE.fullmatch(code) and error_line(code) == code:
            yield code


def _header_code(answer: Answer) -> object:
    try:
        decoded = base64.b64decode(answer.headers.get("x-error-json", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    error = decode_json(decoded)
    return field(field(error, "error"), "code") or field(error, "code")


def _error_text(answer: Answer, body: object) -> str | None:
    if _is_html(answer):
        return error_line(_body_text(answer))
    error, detail = field(body, "error"), field(body, "detail")
    candidates = [field(error, "message"), field(field(error, "message"), "message"), error]
    candidates += [field(detail, "message"), detail, field(body, "message")]
    return next((error_line(str(candidate)) for candidate in candidates if text(candidate)), None)


def _is_html(answer: Answer) -> bool:
    """Return whether an answer is a web page, at any status."""
    start = _body_text(answer, 200).lstrip()
    return "text/html" in answer.headers.get("content-type", "") or start.startswith("<")


def _body_text(answer: Answer, length: int | None = None) -> str:
    body = answer.body[:length]
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body
