"""Refuse what a hostile web page could send to a server on this machine.

A foreign `Host` is how DNS rebinding looks; a POST with a foreign `Origin` is a forged form.
Datasette's own protection lets a POST without a cookie pass, and a reading request that makes the
server act (`force=1`) can be sent by any image. Pages that show where files lie, how the server is
set and who may do what are closed.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from datasette import hookimpl

from ledger import settings

Scope = dict[str, Any]
Channel = Callable[..., Awaitable[Any]]
App = Callable[[Scope, Channel, Channel], Awaitable[None]]

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Datasette's pages of use to its administrator alone; some show paths and settings.
PAGES = (
    "databases|settings|threads|plugins|metadata|config|permissions|allow-debug|patterns|messages"
    "|password-tool"
)
CLOSED = re.compile(rf".*/-/+(?:{PAGES})(?:[./].*)?", re.DOTALL)
# The one thing that reading SQL could tell of the machine: where the ledger's file lies.
PLACE = "database_list"
# Parameters that make the server do something.
ACTING = {"force"}
# A name or an address, and a port: what a browser sends, and nothing that merely can be parsed.
HOST = re.compile(r"(?:([\w.-]+)|\[([0-9a-f:.]+)\])(?::\d*)?", re.IGNORECASE)
READING = {"GET", "HEAD", "OPTIONS"}


def refusal(scope: Scope, own_names: set[str]) -> tuple[int, str] | None:
    """Give the status and sentence that refuse a request; None for one that may pass."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    if name_of(host) not in own_names:
        return 421, "This ledger does not answer under that host name."
    if (scope["method"] not in READING or acts(scope)) and is_foreign(headers, host):
        return 403, "This request comes from another site."
    if CLOSED.fullmatch(scope["path"]):
        return 403, "This page is closed."
    if any(PLACE in f"{name}{value}".lower() for name, value in asked(scope)):
        return 403, "This ledger does not tell where it lies."
    return None


def name_of(host: str) -> str:
    """Give the name in a Host header, without port; empty when there is none."""
    match = HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def acts(scope: Scope) -> bool:
    """Tell whether a request asks the server to do more than answer."""
    return any(name.lower() in ACTING for name, _ in asked(scope))


def asked(scope: Scope) -> list[tuple[str, str]]:
    """Give the names and values of a request's parameters."""
    query = scope.get("query_string", b"").decode("latin-1")
    return parse_qsl(query, keep_blank_values=True)


def is_foreign(headers: dict[bytes, str], host: str) -> bool:
    """Tell whether a browser says that a request was made by another site's page."""
    if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    own = (f"http://{host}", f"https://{host}")
    origin, referer = headers.get(b"origin"), headers.get(b"referer")
    if origin is None and referer is not None:
        # An image names no origin; browsers without Sec-Fetch-Site name the page at least.
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(referer))
    return origin is not None and origin not in own


def own_names() -> set[str]:
    """Give the host names that the dashboard is meant to be reached by."""
    return LOOPBACK | {settings.read().dashboard_host.lower()}


def guarded(app: App, names: set[str]) -> App:
    """Put the guard before an ASGI application."""

    async def guard(scope: Scope, receive: Channel, send: Channel) -> None:
        refused = refusal(scope, names) if scope["type"] == "http" else None
        if refused is None:
            await app(scope, receive, send)
            return
        status, sentence = refused
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": sentence.encode()})

    return guard


@hookimpl(trylast=True)
def asgi_wrapper() -> Callable[[App], App]:
    """Let no request past the guard."""
    return lambda app: guarded(app, own_names())
