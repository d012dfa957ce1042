"""The management API: who may ask, and what each endpoint answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from demo import listings
from demo.calling import api_call
from demo.messages import NOT_FOUND, Reply, Request, failure, reply

if TYPE_CHECKING:
    from demo.proxy import Proxy

PREFIX = "/v0/management/"
COMMIT = "0000000"
BUILD_DATE = "2026-08-22T00:00:00Z"

Route = Callable[["Proxy", Request], Reply]


def routes() -> dict[tuple[str, str], Route]:
    """Return the endpoints by method and name; a test may add its own."""
    return {
        ("GET", "usage-queue"): usage_queue,
        ("GET", "usage-statistics-enabled"): statistics,
        ("PUT", "usage-statistics-enabled"): set_statistics,
        ("PATCH", "usage-statistics-enabled"): set_statistics,
        ("GET", "latest-version"): latest_version,
        ("POST", "api-call"): api_call,
        **listings.routes(),
    }


def answer(proxy: Proxy, request: Request) -> Reply:
    """Answer one request: fault, unknown path, refused key, or the endpoint itself."""
    if proxy.http_fault is not None:
        return failure("stand-in fault", proxy.http_fault)
    name = request.path.removeprefix(PREFIX)
    route = proxy.routes.get((request.method, name))
    known = request.path.startswith(PREFIX) and proxy.offers(name)
    if route is None or not known:
        return NOT_FOUND
    proxy.auth_attempts += 1
    refusal = proxy.check(request.address, _key(request))
    found = route(proxy, request) if refusal is None else failure(refusal.text, refusal.status)
    return replace(found, headers=_version_headers(proxy))


def usage_queue(proxy: Proxy, request: Request) -> Reply:
    """Pop events, oldest first, as one JSON array."""
    try:
        count = int(request.query.get("count", "").strip() or "1")
    except ValueError:
        count = 0
    if count <= 0:
        return failure("count must be a positive integer", 400)
    return Reply(200, b"[%b]" % b",".join([_value(one) for one in proxy.pop(count)]))


def statistics(proxy: Proxy, _request: Request) -> Reply:
    """Tell whether events are kept at all."""
    return reply({"usage-statistics-enabled": proxy.statistics})


def set_statistics(proxy: Proxy, request: Request) -> Reply:
    """Switch the keeping of events, which makes the proxy read its configuration again."""
    try:
        value = json.loads(request.body)["value"]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, bool):
        return failure("invalid body", 400)
    proxy.statistics = value
    proxy.publish_refresh()
    return reply({"status": "ok"})


def latest_version(proxy: Proxy, _request: Request) -> Reply:
    """Name the newest release, or fail as the proxy does without the internet."""
    if proxy.latest is None:
        return reply({"error": "request_failed", "message": "no route to host"}, 502)
    return reply({"latest-version": proxy.latest})


def _key(request: Request) -> str:
    value = request.headers.get("authorization", "")
    scheme, _, rest = value.partition(" ")
    tried = rest if scheme.lower() == "bearer" and rest else value
    return tried or request.headers.get("x-management-key", "")


def _version_headers(proxy: Proxy) -> tuple[tuple[str, str], ...]:
    if not proxy.speaks("version headers"):
        return ()
    return (
        ("X-CPA-VERSION", proxy.version),
        ("X-CPA-COMMIT", COMMIT),
        ("X-CPA-BUILD-DATE", BUILD_DATE),
    )


def _value(payload: bytes) -> bytes:
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return json.dumps(payload.decode(errors="replace")).encode()
    return payload
