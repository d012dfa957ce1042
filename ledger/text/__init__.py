"""The sentences that people read, by code and language, for the page, messages and the terminal.

A text has placeholders: `{name}`, `{name:,}` with a format as of Python, `{name|one|many}` by a
number, `{name|none}` with a text for null, `{name:word}` and `{name:label}` translated, `{name:if}`
for nothing. A part in brackets is left out when one of its parameters is null or missing.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "zh")
PLACEHOLDER = re.compile(r"\{(\w+)(?::([^}|]+))?(?:\|([^}|]*))?(?:\|([^}|]*))?\}")
OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
MISSING = "?"

Parameters = Mapping[str, Any]


@cache
def texts(language: str) -> dict[str, Any]:
    """Read every text of a language; an unknown language is English."""
    name = language if language in LANGUAGES else LANGUAGES[0]
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text("utf-8"))


def sentence(code: str, parameters: Parameters, language: str) -> str:
    """Return the sentence of a problem with its action, or of a fact; else the code."""
    words = texts(language)
    if code in words["facts"]:
        return fill(words["facts"][code], parameters, language)
    if code not in words["problems"]:
        return code
    problem = words["problems"][code]
    parts = [fill(problem[part], parameters, language) for part in ("text", "action")]
    return str(words["between_sentences"]).join(filter(None, parts))


def short(code: str, parameters: Parameters, language: str) -> str:
    """Return a problem in a few words; the code if it has no text."""
    problem = texts(language)["problems"].get(code)
    return fill(problem["short"], parameters, language) if problem else code


def message(name: str, language: str, **parameters: Any) -> str:
    """Return a text of messages, whose parts depend on no problem."""
    return fill(texts(language)["messages"][name], parameters, language)


def fill(text: str, parameters: Parameters, language: str) -> str:
    """Return a text with its placeholders filled in."""

    def optional(match: re.Match[str]) -> str:
        names = [found[1] for found in PLACEHOLDER.finditer(match[1])]
        return match[1] if all(parameters.get(name) is not None for name in names) else ""

    def value(match: re.Match[str]) -> str:
        return placeholder(match, parameters.get(match[1]), language)

    return PLACEHOLDER.sub(value, OPTIONAL.sub(optional, text))


def placeholder(match: re.Match[str], value: Any, language: str) -> str:
    """Return the text of one placeholder."""
    _, form, one, many = match.groups()
    if many is not None:
        return one if value == 1 else many
    if value is None:
        return MISSING if one is None else one
    if form == "if":
        return ""
    if form == "word":
        return str(texts(language)["words"].get(value, value))
    if form == "label":
        return label(str(value), language)
    return format(value, form) if form and isinstance(value, int | float) else str(value)


def label(name: str, language: str) -> str:
    """Return the name of a limit in a language."""
    for pattern, replacement in texts(language)["labels"]:
        name = re.sub(pattern, replacement, name)
    return name


def register(conn: sqlite3.Connection, language: Callable[[], str]) -> None:
    """Add `sentence(code, parameters, language)` and `short_text(…)` to a connection.

    An empty language stands for what `language` returns.
    """

    def function(make: Callable[[str, Parameters, str], str]) -> Callable[..., str | None]:
        def text(code: str | None, parameters: str | None, wanted: str | None) -> str | None:
            if code is None:
                return None
            return make(code, json.loads(parameters or "{}"), wanted or language())

        return text

    conn.create_function("sentence", 3, function(sentence), deterministic=False)
    conn.create_function("short_text", 3, function(short), deterministic=False)
