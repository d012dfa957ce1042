"""The language and colours of a request, and the page's texts in that language."""

import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from datasette import hookimpl

from ledger import text
from ledger.settings import read_live
from ledger.text import LANGUAGES

TEXTS = Path(__file__).parent / "text"
THEMES = ("auto", "light", "dark")


@cache
def texts(language: str) -> dict[str, Any]:
    """Return the page's texts in a language."""
    return json.loads((TEXTS / f"{language}.json").read_text("utf-8"))


def language_of(request: Any) -> str:
    """Return a request's language: from the address, the cookie, or the browser's preference."""
    language = request.args.get("lang") or request.cookies.get("lang")
    if language in LANGUAGES:
        return language
    return preferred(request.headers.get("accept-language", ""))


def preferred(header: str) -> str:
    """Return the first language of an Accept-Language header that has texts."""
    languages = [part.split(";")[0].strip().lower()[:2] for part in header.split(",")]
    return next((name for name in languages if name in LANGUAGES), LANGUAGES[0])


def theme_of(request: Any) -> str:
    """Return a request's colours: from the cookie, or those of the reader's system."""
    theme = request.cookies.get("theme", "")
    return theme if theme in THEMES else "auto"


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Add the function that writes sentences, in the language of the settings by default."""
    text.register(conn, lambda: read_live().language)


@hookimpl
def extra_template_vars(request: Any) -> dict[str, Any]:
    """Pass texts and colours to every template."""
    if request is None:
        return {"t": texts(LANGUAGES[0]), "reader_theme": "auto"}
    return {"t": texts(language_of(request)), "reader_theme": theme_of(request)}


@hookimpl
def prepare_jinja2_environment(env: Any) -> None:
    """Pass texts and colours to templates rendered without a request, as that of an error."""
    env.globals |= {"t": texts(LANGUAGES[0]), "reader_theme": "auto"}
