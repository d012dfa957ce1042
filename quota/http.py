"""One HTTP call with hard limits: total seconds, bytes of the body, a single address.

Nothing is retried, no redirect is followed, no proxy is taken from the environment, and neither
addresses nor headers appear in an error.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext

import httpx

from quota.model import Answer, Reading
from runtime.heartbeat import now

TOTAL_SECONDS = 20.0
MAX_BYTES = 1_000_000
CHECK_SECONDS = 0.2
# How the proxy's credential files spell "no proxy for this credential".
DIRECT = ("direct", "none")

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call; its repr shows neither address nor headers nor body nor proxy."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    max_bytes: int = MAX_BYTES


class NoAnswer(Exception):
    """No usable answer came; `state` and `code` give the reason, the text is a sentence."""

    def __init__(self, sentence: str, *, code: str, state: str = "unavailable") -> None:
        super().__init__(sentence)
        self.code, self.state = code, state

    def reading(self) -> Reading:
        """Return the failure as a reading of the account."""
        return Reading(
            state=self.state, observed_at=now(), error_code=self.code, error_text=str(self)
        )


class Stopped(Exception):
    """The worker is stopping: the call was abandoned."""


def first_values(headers: Mapping[str, object]) -> dict[str, str]:
    """Return lower-case header names, each with its first non-empty value.

    Takes both a plain map and the proxy's map of lists.
    """
    first: dict[str, str] = {}
    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value.strip():
                first.setdefault(str(name).strip().lower(), value.strip())
    return first


def fetch(call: Call, *, should_stop: ShouldStop, seconds: float = TOTAL_SECONDS) -> Answer:
    """Make one call. Raises `NoAnswer`, or `Stopped` as soon as `should_stop` returns true."""
    try:
        return asyncio.run(_fetch_within(call, should_stop, seconds))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NoAnswer("no connection could be made", code="no_connection") from error
    except httpx.InvalidURL as error:
        raise NoAnswer("the address cannot be used", code="bad_address") from error
    except httpx.TimeoutException as error:
        raise NoAnswer(f"no answer within {seconds:g} seconds", code="timeout") from error
    except httpx.ProxyError as error:
        raise NoAnswer("the credential's proxy refused", code="proxy_refused") from error
    except (httpx.HTTPError, UnicodeError) as error:
        raise NoAnswer("the connection was interrupted", code="connection_broken") from error


async def _fetch_within(call: Call, should_stop: ShouldStop, seconds: float) -> Answer:
    """Return the complete answer; raise `NoAnswer` unless it arrives within `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    sending = loop.create_task(_send(call, seconds))
    while not sending.done() and not should_stop() and (remaining := deadline - loop.time()) > 0:
        await asyncio.wait({sending}, timeout=min(remaining, CHECK_SECONDS))
    if sending.done():
        return sending.result()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    if should_stop():
        raise Stopped
    raise NoAnswer(f"no answer within {seconds:g} seconds", code="timeout")


async def _send(call: Call, seconds: float) -> Answer:
    # A compressed answer could grow beyond any limit.
    headers = {"Accept-Encoding": "identity", **call.headers}
    content = None if call.body is None else call.body.encode()
    async with (
        _client(call.proxy, seconds) as client,
        client.stream(call.method, call.url, headers=headers, content=content) as response,
    ):
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > call.max_bytes:
                raise NoAnswer("the answer is too long", code="too_long", state="bad_response")
    values = {name: response.headers.get_list(name) for name in response.headers}
    return Answer(response.status_code, first_values(values), bytes(body), now())


def _client(proxy: str | None, seconds: float) -> httpx.AsyncClient:
    if proxy is not None and proxy.strip().lower() in DIRECT:
        proxy = None
    try:
        return httpx.AsyncClient(
            proxy=proxy, verify=_certificates(), trust_env=False, timeout=seconds
        )
    # httpx raises ImportError for SOCKS where the package for it is not installed.
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise NoAnswer(
            "the credential's proxy_url cannot be used here, and no call is made without it",
            code="proxy_unusable",
        ) from error


@cache
def _certificates() -> SSLContext:
    return httpx.create_ssl_context(trust_env=False)
