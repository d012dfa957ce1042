"""Take the secrets out of what may be kept of a failure or of a rejected record. Pure."""

import html
import json
import re
from typing import NamedTuple

from ingest.payload import Payload

LINE_LENGTH, CODE_LENGTH = 200, 60
LONGEST_LOOK, LONGEST_JSON = 4000, 1_000_000
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# No \b before a key: Chinese text runs into it without a space.
REPLACED = [
    (re.compile(r"(?i)\b(?:set-)?cookie\b[\"']?\s*[:=].*"), "<cookie>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+"), r"\1 <secret>"),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+"), "<url>"),
    (EMAIL, "<email>"),
    (
        re.compile(
            r"(?i)((?:api[ _-]?key(?: provided)?|token|secret|password|authorization)[\"']?"
            r"\s*[:=]\s*[\"']?)(?!bearer|basic|[\"'<])[^\s\"',;}]+"
        ),
        r"\1<secret>",
    ),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|gsk|hf|gh[opsu]|github_pat|glpat|xox[abp])[-_]|AIza"
            r"|ya29\.|eyJ|AKIA)[\w.~+/=*-]{4,}"
            r"|(?<![A-Za-z0-9])[A-Za-z]+(?:-[A-Za-z0-9]+)*-(?:key|token|secret|cookie)[\w-]*"
            r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        ),
        "<secret>",
    ),
    (
        re.compile(
            r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\[[0-9a-fA-F:]{3,}(?:%\w+)?\](?::\d+)?"
            r"|(?<![\w:])(?=[\w:]*::|(?:\w+:){5})[0-9a-fA-F:]*:[0-9a-fA-F]+(?![\w:])"
        ),
        "<address>",
    ),
]
LONG = re.compile(r"[A-Za-z0-9_+/=.-]{20,}")
PART = re.compile(r"[A-Za-z]{1,30}|\d{1,13}|(?=.{1,8}$)[A-Za-z]*(?:\d{1,3}[A-Za-z]*){1,2}|")
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
    return named(code), scrubbed(message, known)[:LINE_LENGTH]


def said(body: str) -> tuple[str | None, str]:
    """Find code and message in an error body: JSON of any provider, HTML, or plain text."""
    if len(body) > LONGEST_JSON or not body.lstrip().startswith(("{", "[")):
        title = TITLE.search(body[:LONGEST_LOOK])
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
    is_code = code and re.fullmatch(rf"[\w.-]{{1,{CODE_LENGTH}}}", code) and scrubbed(code) == code
    return code if is_code else None


def scrubbed(text: str, known: list[str] | None = None) -> str:
    """Give text as one line without addresses, keys, tokens and the `known` secrets."""
    text = " ".join(text[:LONGEST_LOOK].split())
    for secret in filter(None, known or []):
        text = text.replace(secret, "<secret>")
    for pattern, instead in REPLACED:
        text = pattern.sub(instead, text)
    text = LONG.sub(lambda run: run[0] if is_name(run[0]) else "<secret>", text)
    return "".join(c for c in text if c.isprintable())


def is_name(run: str) -> bool:
    """Tell whether a long run of characters is made of words and short numbers, as no key is."""
    return all(PART.fullmatch(part) for part in re.split(r"[_+/=.-]", run))
