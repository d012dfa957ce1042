"""The checks before every route: the password, the request guard and the response headers.

The guard refuses what a hostile web page could send to a server on this machine. A foreign `Host`
is a sign of DNS rebinding; a POST with a foreign `Origin` is a forged form. Datasette's own
protection lets a POST without a cookie pass, and any image can send a GET that makes the server
act (`force=1`). Pages that show paths, settings and permissions are closed.

Our own pages run scripts of this server alone. Datasette's pages have inline scripts, which are
allowed by their hashes. Where datasette-vega draws, it compiles its charts at run time.

A person signs in at `/-/login` (datasette-auth-passwords); a script sends HTTP Basic with the user
name `ledger`.
"""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import datasette as datasette_package
from datasette import Forbidden, hookimpl
from datasette_auth_passwords.utils import verify_password
from itsdangerous import BadSignature

from ledger import settings

Scope = dict[str, Any]
Channel = Callable[..., Awaitable[Any]]
App = Callable[[Scope, Channel, Channel], Awaitable[None]]
Header = tuple[bytes, bytes]

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Datasette's pages that only its administrator needs; some show paths and settings.
ADMINISTRATION = (
    "databases|settings|threads|plugins|metadata|config|permissions|allow-debug|patterns|messages"
    "|password-tool"
)
CLOSED = re.compile(rf".*/-/+(?:{ADMINISTRATION})(?:[./].*)?", re.DOTALL)
# The only path of this machine that SQL can read: the ledger's own file.
PATH_PRAGMA = "database_list"
# Parameters that make the server act.
ACTING = {"force"}
# A name or an address, and a port: exactly what a browser sends.
HOST = re.compile(r"(?:([\w.-]+)|\[([0-9a-f:.]+)\])(?::\d*)?", re.IGNORECASE)
READING = {"GET", "HEAD", "OPTIONS"}

TEMPLATES = Path(datasette_package.__file__).parent / "templates"
INLINE_TEMPLATES = ("_close_open_menus.html", "_codemirror_foot.html")
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
FACET_SCRIPTS = ("DATASETTE_ALLOW_FACET = true;", "DATASETTE_ALLOW_FACET = false;")
# Tables, queries and rows: where datasette-vega offers a chart.
CHARTED = re.compile(r"/(?:ledger|_memory|_internal)(?:/.*)?")
DATASETTE_PAGES = re.compile(r"/-/(?!page\.json|charts-).*")
STATIC_FILES = re.compile(r"/(?:assets|-/static|-/static-plugins)/.*|/-/charts-[\w.]+\.js")
COMMON_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
COMMON_POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; img-src 'self' data:"
)
OWN_POLICY = f"{COMMON_POLICY}; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'"

USER = "ledger"
PASSWORD_VARIABLE = "LEDGER_DASHBOARD_PASSWORD_HASH"
WITHOUT_PASSWORD = re.compile(r"/-/login|/-/static/.*")
CHALLENGE = (b"www-authenticate", b'Basic realm="ledger", charset="UTF-8"')
PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")


async def require_permission(request: Any, datasette: Any) -> None:
    """Raise `Forbidden` when the request may not view the ledger."""
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")


def refusal(scope: Scope, own_hosts: set[str]) -> tuple[int, str] | None:
    """Return the status and sentence that refuse a request; None when it may pass."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    if host_name(host) not in own_hosts:
        return 421, "This ledger does not answer under that host name."
    if (scope["method"] not in READING or is_acting(scope)) and is_foreign(headers, host):
        return 403, "This request comes from another site."
    if CLOSED.fullmatch(scope["path"]):
        return 403, "This page is closed."
    if any(PATH_PRAGMA in f"{name}{value}".lower() for name, value in parameters(scope)):
        return 403, "This ledger does not show the path of its file."
    return None


def host_name(host: str) -> str:
    """Return the name in a Host header, without the port; empty when it is malformed."""
    match = HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def is_acting(scope: Scope) -> bool:
    """Return whether a request has a parameter that makes the server act."""
    return any(name.lower() in ACTING for name, _ in parameters(scope))


def parameters(scope: Scope) -> list[tuple[str, str]]:
    """Return the names and values of a request's parameters."""
    query = scope.get("query_string", b"").decode("latin-1")
    return parse_qsl(query, keep_blank_values=True)


def is_foreign(headers: dict[bytes, str], host: str) -> bool:
    """Return whether the browser's headers say that another site's page made the request."""
    if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    own_origins = (f"http://{host}", f"https://{host}")
    origin, referer = headers.get(b"origin"), headers.get(b"referer")
    if origin is None and referer is not None:
        # A request for an image has no Origin; browsers without Sec-Fetch-Site send a Referer.
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(referer))
    return origin is not None and origin not in own_origins


def own_hosts() -> set[str]:
    """Return the host names under which the dashboard answers."""
    return LOOPBACK | {settings.read().dashboard_host.lower()}


async def send_text(send: Channel, status: int, text: str, *headers: Header) -> None:
    """Send a whole response of plain text."""
    start = {"type": "http.response.start", "status": status, "headers": [PLAIN_TEXT, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": text.encode()})


def with_guard(app: App, hosts: set[str]) -> App:
    """Refuse hostile requests before they reach an ASGI application."""

    async def application(scope: Scope, receive: Channel, send: Channel) -> None:
        refused = refusal(scope, hosts) if scope["type"] == "http" else None
        if refused is None:
            await app(scope, receive, send)
        else:
            await send_text(send, *refused)

    return application


@cache
def inline_hashes() -> str:
    """Return the hashes of Datasette's own inline scripts, as a policy lists them."""
    matches = [
        INLINE_SCRIPT.search((TEMPLATES / name).read_text("utf-8")) for name in INLINE_TEMPLATES
    ]
    scripts = [*(match[1] for match in matches if match), *FACET_SCRIPTS]
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def content_policy(path: str) -> str:
    """Return the content security policy of a path."""
    is_charted = bool(CHARTED.fullmatch(path))
    if not is_charted and not DATASETTE_PAGES.fullmatch(path):
        return OWN_POLICY
    compiled = " 'unsafe-eval'" if is_charted else ""
    scripts = f"script-src 'self' {inline_hashes()}{compiled}"
    return f"{COMMON_POLICY}; {scripts}; style-src 'self' 'unsafe-inline'"


def complete_headers(path: str, headers: list[Header]) -> list[Header]:
    """Return a response's headers with the missing ones added; those it has are kept."""
    required = {**COMMON_HEADERS, b"content-security-policy": content_policy(path).encode()}
    present = {name.lower() for name, _ in headers}
    if not STATIC_FILES.fullmatch(path):
        headers = [header for header in headers if header[0].lower() != b"cache-control"]
        headers.append((b"cache-control", b"no-store"))
    return [*headers, *((name, value) for name, value in required.items() if name not in present)]


def with_headers(app: App) -> App:
    """Add the headers to every response of an ASGI application."""

    async def application(scope: Scope, receive: Channel, send: Channel) -> None:
        async def send_complete(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = complete_headers(scope["path"], list(message.get("headers") or []))
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_complete if scope["type"] == "http" else send)

    return application


def password_hash() -> str:
    """Return the hash in the settings; empty when no password is set."""
    return settings.read().dashboard_password_hash


def basic_password(header: str) -> str | None:
    """Return the password of a Basic authorization for our user; None for anything else."""
    kind, _, text = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if user == USER else None


class PasswordCheck:
    """Checks the signed cookie or the password of a request.

    Hashing a password is slow on purpose: it runs in a thread, one at a time, and the digest of
    the right password is remembered.
    """

    def __init__(self, datasette: Any, expected: str) -> None:
        self._datasette = datasette
        self._expected = expected
        self._verified: bytes | None = None
        self._one_at_a_time = asyncio.Semaphore(1)

    async def passes(self, headers: dict[bytes, bytes]) -> bool:
        """Return whether a request has the signed cookie or the password."""
        if self._has_cookie(headers.get(b"cookie", b"").decode("latin-1")):
            return True
        password = basic_password(headers.get(b"authorization", b"").decode("latin-1"))
        if password is None:
            return False
        digest = hashlib.sha256(password.encode()).digest()
        if digest == self._verified:
            return True
        async with self._one_at_a_time:
            is_right = await asyncio.to_thread(verify_password, password, self._expected)
        self._verified = digest if is_right else self._verified
        return is_right

    def _has_cookie(self, text: str) -> bool:
        try:
            cookie = SimpleCookie(text).get("ds_actor")
            signed = self._datasette.unsign(cookie.value, "actor") if cookie else {}
        except (CookieError, BadSignature):
            return False
        return isinstance(signed, dict) and (signed.get("a") or {}).get("id") == USER


def with_password(app: App, check: PasswordCheck) -> App:
    """Require the password for every route of an ASGI application but the sign-in page."""

    async def application(scope: Scope, receive: Channel, send: Channel) -> None:
        if scope["type"] != "http" or WITHOUT_PASSWORD.fullmatch(scope["path"]):
            await app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if await check.passes(headers):
            await app(scope, receive, send)
            return
        is_page = scope["method"] == "GET" and b"text/html" in headers.get(b"accept", b"")
        status, header = (302, (b"location", b"/-/login")) if is_page else (401, CHALLENGE)
        await send_text(send, status, "Sign in at /-/login.", header)

    return application


@hookimpl(trylast=True)
def asgi_wrapper(datasette: Any) -> Callable[[App], App]:
    """Wrap the whole application: the guard before the password, headers on every response."""
    expected = password_hash()

    def wrap(app: App) -> App:
        if expected:
            app = with_password(app, PasswordCheck(datasette, expected))
        return with_headers(with_guard(app, own_hosts()))

    return wrap


@hookimpl
def get_metadata() -> dict[str, Any]:
    """Configure the sign-in page to read the password's hash from the environment."""
    hashed = {f"{USER}_password_hash": {"$env": PASSWORD_VARIABLE}}
    return {"plugins": {"datasette-auth-passwords": hashed}}
