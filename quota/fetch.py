"""One HTTP call with hard limits: seconds in total, bytes of the body, and no second place.

Nothing is retried, no redirect is followed, no proxy is taken from the environment, and neither
addresses nor headers appear in an error.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext

import httpx

from quota.answers import first_values
from quota.model import Answer, Reading
from runtime.heartbeat import now

TOTAL_SECONDS = 20.0
MOST_BYTES = 1_000_000
LOOK_SECONDS = 0.2
# How the proxy's credential files spell "no proxy for this one".
DIRECT = ("direct", "none")

IsOver = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to send; whoever prints one sees neither headers nor body nor proxy."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    most_bytes: int = MOST_BYTES


class NoAnswer(Exception):
    """No usable answer came; `state` and `code` say why, the text is a sentence."""

    def __init__(self, sentence: str, *, code: str, state: str = "unavailable") -> None:
        super().__init__(sentence)
        self.code, self.state = code, state

    def reading(self) -> Reading:
        """Give what this says about an account."""
        return Reading(
            state=self.state, observed_at=now(), error_code=self.code, error_text=str(self)
        )


class Stopped(Exception):
    """It is time to stop: the call was given up."""


def fetch(call: Call, *, is_over: IsOver, seconds: float = TOTAL_SECONDS) -> Answer:
    """Make one call. Raises `NoAnswer`, or `Stopped` as soon as `is_over` says so."""
    try:
        return asyncio.run(_bounded(call, is_over, seconds))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NoAnswer("no connection could be made", code="no_connection") from error
    except httpx.InvalidURL as error:
        raise NoAnswer("the address cannot be used", code="bad_address") from error
    except httpx.TimeoutException as error:
        raise NoAnswer(f"no answer within {seconds:g} seconds", code="timeout") from error
    except httpx.ProxyError as error:
        raise NoAnswer("the credential's proxy refused", code="proxy_refused") from error
    except (httpx.HTTPError, UnicodeError) as error:
        raise NoAnswer("the connection broke off", code="connection_broken") from error


async def _bounded(call: Call, is_over: IsOver, seconds: float) -> Answer:
    """Wait for the whole answer, however slowly it drips."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    sending = loop.create_task(_send(call, seconds))
    while not sending.done() and not is_over() and (left := until - loop.time()) > 0:
        await asyncio.wait({sending}, timeout=min(left, LOOK_SECONDS))
    if sending.done():
        return sending.result()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    if is_over():
        raise Stopped
    raise NoAnswer(f"no answer within {seconds:g} seconds", code="timeout")


async def _send(call: Call, seconds: float) -> Answer:
    # Compressed answers could grow beyond any limit.
    headers = {"Accept-Encoding": "identity", **call.headers}
    content = None if call.body is None else call.body.encode()
    async with (
        _client(call.proxy, seconds) as client,
        client.stream(call.method, call.url, headers=headers, content=content) as response,
    ):
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > call.most_bytes:
                raise NoAnswer("the answer is too long", code="too_long", state="bad_response")
    told = {name: response.headers.get_list(name) for name in response.headers}
    return Answer(response.status_code, first_values(told), bytes(body), now())


def _client(proxy: str | None, seconds: float) -> httpx.AsyncClient:
    if proxy is not None and proxy.strip().lower() in DIRECT:
        proxy = None
    try:
        return httpx.AsyncClient(
            proxy=proxy, verify=_certificates(), trust_env=False, timeout=seconds
        )
    # ImportError is what SOCKS gives where the package for it is not installed.
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise NoAnswer(
            "the credential's proxy_url cannot be used here, and without it nobody is asked",
            code="proxy_unusable",
        ) from error


@cache
def _certificates() -> SSLContext:
    return httpx.create_ssl_context(trust_env=False)
