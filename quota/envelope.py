"""The proxy's `api-call` envelope: a provider request made by the proxy, which adds the token.

POST /v0/management/api-call as served by router-for-me/CLIProxyAPI. The outer status is 200
whatever the provider said; the inner one counts, and the body is text that holds JSON.
"""

from collections.abc import Mapping
from typing import Any

from quota.answers import decoded, first_values
from quota.fields import mapping
from quota.model import TOKEN, Answer, Request
from quota.numbers import count


def wrapped(request: Request, *, base: str, auth_index: str) -> dict[str, Any]:
    """Return the JSON that asks the proxy to make this request with a credential's token."""
    call = {"auth_index": auth_index, "method": request.method, "url": base + request.path}
    call["header"] = dict(request.headers)
    return call if request.body is None else {**call, "data": request.body}


def unwrapped(outer: Answer) -> Answer | None:
    """Return the provider's answer inside the proxy's, or None when there is none inside."""
    inner = mapping(decoded(outer.body)) if outer.status == 200 else {}
    status, body = count(inner.get("status_code")), inner.get("body")
    if status is None:
        return None
    return Answer(
        status=status,
        headers=first_values(mapping(inner.get("header"))),
        body=body if isinstance(body, str) else "",
        observed_at=outer.observed_at,
    )


def filled(headers: Mapping[str, str], token: str) -> dict[str, str]:
    """Put a token into request headers, for a call without the proxy."""
    return {name: value.replace(TOKEN, token) for name, value in headers.items()}
