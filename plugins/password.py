"""Let nobody in without the password, where one is set: it guards every route, ours included.

A person signs in at `/-/login` (datasette-auth-passwords); a script sends HTTP Basic with the user
name `ledger`. Checking a password is slow on purpose, so it happens in a thread, one at a time.
"""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from datasette import hookimpl
from datasette_auth_passwords.utils import verify_password
from itsdangerous import BadSignature

from ledger import settings

Scope = dict[str, Any]
Channel = Callable[..., Awaitable[Any]]
App = Callable[[Scope, Channel, Channel], Awaitable[None]]

USER = "ledger"
SETTING = "dashboard_password_hash"
VARIABLE = f"LEDGER_{SETTING.upper()}"
OPEN = re.compile(r"/-/login|/-/static/.*")
ASK = (b"www-authenticate", b'Basic realm="ledger", charset="UTF-8"')


def password_hash() -> str:
    """Give the hash that the settings hold; empty when no password is set."""
    return settings.read().dashboard_password_hash


def password_of(header: str) -> str | None:
    """Give the password of a Basic authorization for our user; None for anything else."""
    kind, _, text = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if user == USER else None


class Door:
    """Decides who may come in; remembers the digest of the password once it proved right."""

    def __init__(self, datasette: Any, expected: str) -> None:
        self._datasette = datasette
        self._expected = expected
        self._right: bytes | None = None
        self._one_at_a_time = asyncio.Semaphore(1)

    async def lets_in(self, headers: dict[bytes, bytes]) -> bool:
        """Tell whether a request brings the signed cookie or the password."""
        if self._has_cookie(headers.get(b"cookie", b"").decode("latin-1")):
            return True
        password = password_of(headers.get(b"authorization", b"").decode("latin-1"))
        if password is None:
            return False
        digest = hashlib.sha256(password.encode()).digest()
        if digest == self._right:
            return True
        async with self._one_at_a_time:
            is_right = await asyncio.to_thread(verify_password, password, self._expected)
        self._right = digest if is_right else self._right
        return is_right

    def _has_cookie(self, text: str) -> bool:
        try:
            cookie = SimpleCookie(text).get("ds_actor")
            signed = self._datasette.unsign(cookie.value, "actor") if cookie else {}
        except (CookieError, BadSignature):
            return False
        return isinstance(signed, dict) and (signed.get("a") or {}).get("id") == USER


def closed(app: App, door: Door) -> App:
    """Put the door before an ASGI application."""

    async def guarded(scope: Scope, receive: Channel, send: Channel) -> None:
        if scope["type"] != "http" or OPEN.fullmatch(scope["path"]):
            await app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if await door.lets_in(headers):
            await app(scope, receive, send)
            return
        is_page = scope["method"] == "GET" and b"text/html" in headers.get(b"accept", b"")
        found = (302, (b"location", b"/-/login")) if is_page else (401, ASK)
        kind = (b"content-type", b"text/plain; charset=utf-8")
        await send({"type": "http.response.start", "status": found[0], "headers": [kind, found[1]]})
        await send({"type": "http.response.body", "body": b"Sign in at /-/login."})

    return guarded


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[App], App]:
    """Close every route, if there is a password."""
    expected = password_hash()
    if not expected:
        return lambda app: app
    return lambda app: closed(app, Door(datasette, expected))


@hookimpl
def get_metadata() -> dict[str, Any]:
    """Tell the sign-in page where the password's hash is, but not what it is."""
    hashed = {f"{USER}_password_hash": {"$env": VARIABLE}}
    return {"plugins": {"datasette-auth-passwords": hashed}}
