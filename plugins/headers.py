"""Tell browsers what each answer may do: which scripts run, who may frame it, that none is kept.

Pages of our own run scripts of this server alone. Datasette's pages have inline scripts, allowed by
their hashes, and where datasette-vega draws, its charts are compiled at run time.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import datasette
from datasette import hookimpl

Scope = dict[str, Any]
Channel = Callable[..., Awaitable[Any]]
App = Callable[[Scope, Channel, Channel], Awaitable[None]]
Header = tuple[bytes, bytes]

TEMPLATES = Path(datasette.__file__).parent / "templates"
INLINE = ("_close_open_menus.html", "_codemirror_foot.html")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
FACETS = ("DATASETTE_ALLOW_FACET = true;", "DATASETTE_ALLOW_FACET = false;")
# Tables, queries and rows: where datasette-vega offers a chart.
CHARTED = re.compile(r"/(?:ledger|_memory|_internal)(?:/.*)?")
OF_DATASETTE = re.compile(r"/-/(?!page\.json|charts-).*")
STATIC = re.compile(r"/(?:assets|-/static|-/static-plugins)/.*|/-/charts-[\w.]+\.js")
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
COMMON = (
    "default-src 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; img-src 'self' data:"
)
OWN = f"{COMMON}; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'"


@cache
def hashes() -> str:
    """Give the hashes of Datasette's own inline scripts, as a policy names them."""
    found = [SCRIPT.search((TEMPLATES / name).read_text("utf-8")) for name in INLINE]
    scripts = [*(match[1] for match in found if match), *FACETS]
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def policy(path: str) -> str:
    """Give the content security policy of a path."""
    is_charted = bool(CHARTED.fullmatch(path))
    if not is_charted and not OF_DATASETTE.fullmatch(path):
        return OWN
    compiled = " 'unsafe-eval'" if is_charted else ""
    return f"{COMMON}; script-src 'self' {hashes()}{compiled}; style-src 'self' 'unsafe-inline'"


def added(path: str, given: list[Header]) -> list[Header]:
    """Give an answer's headers with what is missing; what a page says itself is left."""
    wanted = {**ALWAYS, b"content-security-policy": policy(path).encode()}
    names = {name.lower() for name, _ in given}
    kept = [header for header in given if header[0].lower() != b"cache-control"]
    if STATIC.fullmatch(path):
        kept = given
    else:
        kept.append((b"cache-control", b"no-store"))
    return [*kept, *((name, value) for name, value in wanted.items() if name not in names)]


def with_headers(app: App) -> App:
    """Add the headers to every answer of an ASGI application."""

    async def application(scope: Scope, receive: Channel, send: Channel) -> None:
        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = added(scope["path"], list(message.get("headers") or []))
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return application


@hookimpl(trylast=True)
def asgi_wrapper() -> Callable[[App], App]:
    """Let no answer out without its headers."""
    return with_headers
