"""What a failed answer means for an account, decided the same way for every provider.

Statuses, codes and texts as answered by chatgpt.com to openai/codex, by api.anthropic.com to
Claude Code, and by the Cloudflare edge before both.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from quota.answers import dated, decoded, is_html
from quota.fields import field, has, mapping, text
from quota.model import Answer, Reading
from quota.scrub import line

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
CODE = re.compile(r"(?=.*[a-z])[a-z0-9_.-]{1,64}")


def opened(answer: Answer, *known: str) -> tuple[Answer, dict[str, object]] | Reading:
    """Return an answer, rightly dated, with its JSON object, or the reading of its failure.

    A 2xx answer must hold one of the known keys: an error in disguise is not an empty quota.
    """
    answer = dated(answer)
    body = decoded(answer.body)
    if 200 <= answer.status < 300 and has(body, *known):
        return answer, dict(mapping(body))
    codes = list(_codes(answer, body))
    told = [code for code in codes if code in CODES]
    return Reading(
        state=_state(answer, told),
        observed_at=answer.observed_at,
        http_status=answer.status,
        error_code=next(iter(told + codes), None),
        error_text=_line(answer, body),
    )


def _state(answer: Answer, told: list[str]) -> str:
    status = answer.status
    if status == 429:
        return "rate_limited"
    if 200 <= status < 400:
        return "bad_response"
    if answer.headers.get("cf-mitigated") == "challenge":
        return "blocked_network"
    if status >= 500 or status == 404:
        return "unavailable"
    if is_html(answer):
        return "blocked_network"
    return CODES[told[0]] if told else _worded(answer)


def _worded(answer: Answer) -> str:
    body = answer.body[:4000]
    said = (body.decode("utf-8", "replace") if isinstance(body, bytes) else body).lower()
    for phrase, state in PHRASES.items():
        if phrase.search(said):
            return state
    return "auth_error" if answer.status in (401, 402, 403) else "bad_response"


def _codes(answer: Answer, body: object) -> Iterator[str]:
    error, detail = field(body, "error"), field(body, "detail")
    spots = [field(error, "code"), field(error, "type"), field(error, "status"), error]
    spots += [field(detail, "code"), detail, field(body, "code")]
    spots += [answer.headers.get("x-openai-authorization-error"), _header_code(answer)]
    for spot in spots:
        code = spot.strip().lower() if isinstance(spot, str) else ""
        if CODE.fullmatch(code) and line(code) == code:
            yield code


def _header_code(answer: Answer) -> object:
    try:
        hidden = decoded(base64.b64decode(answer.headers.get("x-error-json", ""), validate=True))
    except (binascii.Error, ValueError):
        return None
    return field(field(hidden, "error"), "code") or field(hidden, "code")


def _line(answer: Answer, body: object) -> str | None:
    if is_html(answer):
        page = answer.body
        return line(page.decode("utf-8", "replace") if isinstance(page, bytes) else page)
    error, detail = field(body, "error"), field(body, "detail")
    spots = [field(error, "message"), field(field(error, "message"), "message"), error]
    spots += [field(detail, "message"), detail, field(body, "message")]
    return next((line(spot) for spot in spots if text(spot)), None)
