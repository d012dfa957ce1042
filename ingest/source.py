"""Pop the proxy's usage queue over RESP or HTTP.

Wire format: `internal/api/redis_queue_protocol.go` and `internal/api/server_management.go` of
CLIProxyAPI. A pop is destructive and is never retried here.
"""

from typing import Any, Protocol

import redis
from redis._parsers import _RESP2Parser
from redis._parsers.socket import SocketBuffer
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from ingest.management import Management, NoResponse
from ingest.parse import split_array
from ledger import Unavailable
from ledger.settings import Proxy
from runtime.refusals import Refused, parse_refusal

# Older proxies accept any key name; from v7.1.44 on it must be this one.
QUEUE = "usage"
TIMEOUT_SECONDS = 4.0
READ_SIZE = 1 << 18
# redis-py allocates whatever length a reply announces, so a broken peer could exhaust memory.
MAX_RECORD_BYTES = 64 << 20
MAX_REPLY_BYTES = 256 << 20


class RespNotServed(Unavailable):
    """RESP is not served at this address."""


class PopInterrupted(Unavailable):
    """The connection failed between a pop and its reply, so a batch may be lost."""


class Source(Protocol):
    """A connection to the queue of one proxy."""

    @property
    def name(self) -> str:
        """`resp` or `http`."""

    @property
    def is_open(self) -> bool:
        """Whether a connection is open on which the key was accepted."""

    def pop(self, count: int) -> list[bytes]:
        """Remove up to `count` records from the queue and return them, oldest first.

        Raises `Unavailable` or `Refused`.
        """

    def close(self) -> None:
        """Close the connection."""


class RespSource:
    """The queue over RESP: AUTH, then LPOP, on one connection."""

    name = "resp"

    def __init__(self, host: str, port: int, key: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._peer = f"the proxy at {host}:{port}"
        # The proxy counts any command before AUTH as a failed login: no HELLO, no CLIENT, no retry.
        self._connection = Connection(
            host=host,
            port=port,
            password=key,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_read_size=READ_SIZE,
            parser_class=LimitedParser,
        )
        self._connected = False

    @property
    def is_open(self) -> bool:
        """Whether the key was accepted on the open connection."""
        return self._connected

    def pop(self, count: int) -> list[bytes]:
        """Pop up to `count` records. Raises `RespNotServed` where HTTP has to be used instead."""
        if not self._connected:
            self._connect()
        self._check_idle()
        try:
            self._connection.send_command("LPOP", QUEUE, count)
            reply = self._connection.read_response()
        except redis.ResponseError as error:
            self.close()
            raise self._error(str(error)) from error
        except (redis.RedisError, OSError, ValueError) as error:
            self.close()
            raise PopInterrupted(f"{self._peer} cut the connection during a pop") from error
        return self._records(reply)

    def _connect(self) -> None:
        try:
            self._connection.connect()
        except redis.ResponseError as error:
            raise self._error(str(error)) from error
        except (redis.InvalidResponse, ValueError) as error:
            raise RespNotServed(f"{self._peer} answers, but not in RESP") from error
        except redis.TimeoutError as error:
            raise Unavailable(f"{self._peer} does not answer") from error
        except redis.ConnectionError as error:
            raise self._connect_error(error) from error
        self._connected = True

    def _connect_error(self, error: redis.ConnectionError) -> Unavailable:
        """Return the exception for a connection that failed before the key was accepted."""
        if isinstance(error, redis.AuthenticationError):
            return Unavailable(f"{self._peer} says: {error}")
        if "closed by server" in str(error):
            return RespNotServed(f"{self._peer} closes RESP connections without an answer")
        reason = getattr(error.__context__, "strerror", None)
        return Unavailable(f"{self._peer} cannot be reached ({(reason or str(error)).lower()})")

    def _check_idle(self) -> None:
        """Raise `Unavailable` if the connection ended while idle, before a pop is sent on it."""
        try:
            if not self._connection.can_read(0):
                return
        except (redis.RedisError, OSError):
            pass
        self.close()
        raise Unavailable(f"{self._peer} closed the connection")

    def _error(self, message: str) -> Exception:
        """Return the exception to raise for an error reply."""
        if "use mTLS" in message or "home mode" in message:
            return RespNotServed(f"{self._peer} says: {message[:200]}")
        if refused := parse_refusal(message, self._peer):
            return refused
        return Unavailable(f"{self._peer} says: {message[:200]}")

    def _records(self, reply: object) -> list[bytes]:
        # redis-server answers an empty queue with nil, the proxy with an empty list.
        if reply is None:
            return []
        if isinstance(reply, list) and all(isinstance(record, bytes) for record in reply):
            return reply
        self.close()
        raise PopInterrupted(
            f"{self._peer} answered a pop with something that is not a list of records"
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
        self._connected = False


class LimitedBuffer(SocketBuffer):
    """redis-py's receive buffer with limits on the length of a string and of a reply."""

    def read(self, length: int, *args: Any, **options: Any) -> bytes:
        """Read one string. Raises `InvalidResponse` when its announced length is impossible."""
        if not 0 <= length <= MAX_RECORD_BYTES:
            raise redis.InvalidResponse("a string of impossible length")
        return super().read(length, *args, **options)

    def _read_from_socket(self, *args: Any, **options: Any) -> bool:
        if self.unread_bytes() + self._buffer.tell() > MAX_REPLY_BYTES:
            raise redis.InvalidResponse("the reply is too long")
        return super()._read_from_socket(*args, **options)


class LimitedParser(_RESP2Parser):
    """redis-py's RESP 2 parser on a `LimitedBuffer`."""

    def on_connect(self, connection: Any) -> None:
        """Start reading from a new connection."""
        super().on_connect(connection)
        assert self._sock is not None
        self._buffer = LimitedBuffer(self._sock, self.socket_read_size, connection.socket_timeout)


class HttpSource:
    """The queue over HTTP: `GET /v0/management/usage-queue`, since v6.10.8."""

    name = "http"
    # Every request sends the key again.
    is_open = False

    def __init__(self, management: Management) -> None:
        self._management = management

    def pop(self, count: int) -> list[bytes]:
        """Pop up to `count` records."""
        try:
            content = self._management.get("usage-queue", count=count).content
        except NoResponse as error:
            raise PopInterrupted(str(error)) from error
        try:
            return split_array(content)
        except ValueError as error:
            raise Unavailable(
                "the proxy's usage-queue answered something that is not a list"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._management.close()


class AutoSource:
    """RESP, or HTTP where RESP is not served; RESP is tried again after each failure."""

    def __init__(self, resp: RespSource, http: HttpSource) -> None:
        self._resp, self._http = resp, http
        self._current: Source = resp

    @property
    def name(self) -> str:
        """The name of the source that was used last."""
        return self._current.name

    @property
    def is_open(self) -> bool:
        """Whether the source that was used last is open."""
        return self._current.is_open

    def pop(self, count: int) -> list[bytes]:
        """Pop up to `count` records from the source that works."""
        try:
            return self._current.pop(count)
        except RespNotServed:
            self._current = self._http
        except (Unavailable, Refused):
            self._current = self._resp
            raise
        return self.pop(count)

    def close(self) -> None:
        """Close both connections."""
        self._resp.close()
        self._http.close()


def make_source(proxy: Proxy, kind: str) -> Source:
    """Return the source for the setting `usage_source`; an address with a scheme is HTTP only."""
    http = HttpSource(Management(proxy.url, proxy.key))
    if kind == "http" or "://" in proxy.host:
        return http
    resp = RespSource(proxy.host, proxy.port, proxy.key)
    return resp if kind == "resp" else AutoSource(resp, http)
