"""`api-call`: the proxy makes a provider request with the token of one of its credentials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from demo.messages import Reply, Request, failure, reply
from demo.providers import HOSTS, PREFIX
from demo.tokens import access_token

if TYPE_CHECKING:
    from demo.proxy import Proxy

TOKEN = "$TOKEN$"


def api_call(proxy: Proxy, request: Request) -> Reply:
    """Make the request that the body describes, and wrap its answer."""
    try:
        call = json.loads(request.body)
    except ValueError:
        return failure("invalid body", 400)
    for name in ("method", "url"):
        if not call.get(name):
            return failure(f"missing {name}", 400)
    inner = _inner(proxy, call)
    if inner is None:
        return failure("request failed", 502)
    found = proxy.providers.answer(inner)
    if found.manner == "reset":
        return failure("request failed", 502)
    wrapped = {
        "status_code": found.status,
        "header": {name: [value] for name, value in (("Content-Type", found.kind), *found.headers)},
        "body": found.body.decode(errors="replace"),
    }
    return Reply(200, reply(wrapped).body, manner=found.manner)


def _inner(proxy: Proxy, call: dict[str, Any]) -> Request | None:
    url = urlsplit(call["url"])
    path = url.path
    if not path.startswith(PREFIX):
        provider = HOSTS.get(url.hostname or "")
        if provider is None:
            return None
        path = f"{PREFIX}{provider}{path}"
    # The token of an index that the proxy does not know is the placeholder itself.
    index = call.get("auth_index") or call.get("authIndex")
    tokens = {one.auth_index: access_token(one) for one in proxy.accounts if one.file}
    headers = {
        name.lower(): value.replace(TOKEN, tokens.get(index, TOKEN))
        for name, value in (call.get("header") or {}).items()
    }
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(
        call["method"], path, query, headers, (call.get("data") or "").encode(), "127.0.0.1"
    )
