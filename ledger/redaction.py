"""Remove secrets from text that is stored or shown: keys, tokens, cookies, addresses. Pure."""

import re
from collections.abc import Iterable

MAX_TEXT_LENGTH = 4000
MASK = "…"
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Patterns with their replacements. No \b before a key: Chinese text may precede it without a space.
RULES = (
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
)
STRICT_PATTERNS = (
    re.compile(r"(?i)\b(?:bearer|basic)\s+\S+"),
    re.compile(r"(?i)\b[a-z][a-z0-9+.-]{0,20}://\S+"),
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"),
    # Ids of users, organisations, sessions and requests.
    re.compile(r"\b(?:sk|rt|at|user|org|acct|account|proj|req|sess|ey)[-_J][\w.-]*\d[\w.-]*"),
)
PLACEHOLDER = re.compile(r"<(?:cookie|secret|url|email|address)>")
LONG = re.compile(r"[\w+/=.-]{20,}")
ASCII_LONG = re.compile(r"[A-Za-z0-9_+/=.-]{20,}")
PART = re.compile(r"[A-Za-z]{1,30}|\d{1,13}|(?=.{1,8}$)[A-Za-z]*(?:\d{1,3}[A-Za-z]*){1,2}|")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text as one line without addresses, keys, tokens and the given `secrets`.

    Each is replaced by a word such as `<secret>`. Names of models, which may be long and contain
    numbers, are not removed.
    """
    text = " ".join(text[:MAX_TEXT_LENGTH].split())
    for secret in filter(None, secrets):
        text = text.replace(secret, "<secret>")
    text = apply_rules(text)
    text = ASCII_LONG.sub(lambda run: run[0] if is_name(run[0]) else "<secret>", text)
    return "".join(c for c in text if c.isprintable())


def redact_strictly(text: str) -> str:
    """Return text as one line without what `redact` removes, and without any id.

    Each is replaced by `…`. Answers about accounts name no model, so every long run of characters
    with a digit in it is removed too.
    """
    text = text[:MAX_TEXT_LENGTH]
    for pattern in STRICT_PATTERNS:
        text = pattern.sub(MASK, text)
    text = PLACEHOLDER.sub(MASK, apply_rules(text))
    text = LONG.sub(lambda run: MASK if any(map(str.isdigit, run[0])) else run[0], text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def apply_rules(text: str) -> str:
    """Return text with every match of a rule replaced."""
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text


def is_name(run: str) -> bool:
    """Return whether a long run of characters consists of words and short numbers, unlike a key."""
    return all(PART.fullmatch(part) for part in re.split(r"[_+/=.-]", run))
