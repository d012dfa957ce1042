"""How whoever reads wants every page: language and colours."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from datasette import hookimpl

TEXTS = Path(__file__).parent / "text"
LANGUAGES = ("en", "zh")
THEMES = ("auto", "light", "dark")


@cache
def text(language: str) -> dict[str, Any]:
    """Read the page's words in a language."""
    return json.loads((TEXTS / f"{language}.json").read_text("utf-8"))


def language(request: Any) -> str:
    """Choose the language: of the address, as remembered, or as the browser prefers."""
    chosen = request.args.get("lang") or request.cookies.get("lang")
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", ""))


def preferred(header: str) -> str:
    """Give the first language of an Accept-Language header that the page has."""
    wanted = [part.split(";")[0].strip().lower()[:2] for part in header.split(",")]
    return next((name for name in wanted if name in LANGUAGES), LANGUAGES[0])


def theme(request: Any) -> str:
    """Choose the colours: as remembered, or as the system has them."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else "auto"


@hookimpl
def extra_template_vars(request: Any) -> dict[str, Any]:
    """Give every template the reader's words and colours."""
    if request is None:
        return {"t": text(LANGUAGES[0]), "reader_theme": "auto"}
    return {"t": text(language(request)), "reader_theme": theme(request)}


@hookimpl
def prepare_jinja2_environment(env: Any) -> None:
    """Give words and colours to templates that know no reader, as that of an error."""
    env.globals |= {"t": text(LANGUAGES[0]), "reader_theme": "auto"}
