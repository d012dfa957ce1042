"""Pop the proxy's usage queue, over RESP or over HTTP.

Wire format: `internal/api/redis_queue_protocol.go` and `internal/api/server_management.go` of
CLIProxyAPI. A pop is destructive; nothing here tries twice.
"""

from typing import Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from ingest.listing import elements
from ingest.management import Management, NoAnswer
from worker.errors import Refused, Unavailable
from worker.proxies import address
from worker.refusals import refusal
from worker.settings import Settings

# Older proxies accept any key name; from v7.1.44 on it must be this one.
QUEUE = "usage"
ANSWER_SECONDS = 4.0


class NotServed(Unavailable):
    """RESP is not spoken at this address."""


class CutOff(Unavailable):
    """The connection ended between a pop and its reply, so that a batch may be lost."""


class Source(Protocol):
    """A way in. `pop` raises `Unavailable` or `Refused`."""

    @property
    def name(self) -> str:
        """`resp` or `http`."""

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records, oldest first, out of the queue; empty when there are none."""

    def close(self) -> None:
        """End the connection."""


class Resp:
    """The queue over RESP: AUTH, then LPOP, on one connection."""

    name = "resp"

    def __init__(self, host: str, port: int, key: str, *, patience: float = ANSWER_SECONDS) -> None:
        self._where = f"the proxy at {host}:{port}"
        # The proxy counts any word before AUTH as a failed login: no HELLO, no CLIENT, no retry.
        self._connection = Connection(
            host=host,
            port=port,
            password=key,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=patience,
            socket_connect_timeout=patience,
            socket_read_size=1 << 18,
        )
        self._connected = False

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records; raises `NotServed` where HTTP has to be asked instead."""
        if not self._connected:
            self._connect()
        self._notice_end()
        try:
            self._connection.send_command("LPOP", QUEUE, count)
            reply = self._connection.read_response()
        except redis.ResponseError as error:
            self.close()
            raise self._told(str(error)) from error
        except (redis.RedisError, OSError, ValueError) as error:
            self.close()
            raise CutOff(f"{self._where} cut the connection during a pop") from error
        return self._records(reply)

    def _connect(self) -> None:
        try:
            self._connection.connect()
        except redis.ResponseError as error:
            raise self._told(str(error)) from error
        except (redis.InvalidResponse, ValueError) as error:
            raise NotServed(f"{self._where} answers, but not in RESP") from error
        except redis.TimeoutError as error:
            raise Unavailable(f"{self._where} does not answer") from error
        except redis.ConnectionError as error:
            raise self._unreached(error) from error
        self._connected = True

    def _unreached(self, error: redis.ConnectionError) -> Unavailable:
        """Sort a connection that failed before the key was accepted."""
        if isinstance(error, redis.AuthenticationError):
            return Unavailable(f"{self._where} says: {error}")
        if "closed by server" in str(error):
            return NotServed(f"{self._where} closes RESP connections without an answer")
        reason = getattr(error.__context__, "strerror", None)
        return Unavailable(f"{self._where} is not there ({(reason or str(error)).lower()})")

    def _notice_end(self) -> None:
        """Notice a connection that ended while we rested, before anything is asked on it."""
        try:
            if not self._connection.can_read(0):
                return
        except (redis.RedisError, OSError):
            pass
        self.close()
        raise Unavailable(f"{self._where} closed the connection")

    def _told(self, message: str) -> Exception:
        """Sort an error reply by what to do about it."""
        if "use mTLS" in message or "home mode" in message:
            return NotServed(f"{self._where} says: {message[:200]}")
        if refused := refusal(message, self._where):
            return refused
        return Unavailable(f"{self._where} says: {message[:200]}")

    def _records(self, reply: object) -> list[bytes]:
        if reply is None:
            return []
        if isinstance(reply, list) and all(isinstance(record, bytes) for record in reply):
            return reply
        self.close()
        raise CutOff(f"{self._where} answered a pop with something that is not a list of records")

    def close(self) -> None:
        """End the connection."""
        self._connection.disconnect()
        self._connected = False


class Http:
    """The queue over HTTP: `GET /v0/management/usage-queue`, since v6.10.8."""

    name = "http"

    def __init__(self, management: Management) -> None:
        self._management = management

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records."""
        try:
            return elements(self._management.get("usage-queue", count=count).content)
        except NoAnswer as error:
            raise CutOff(str(error)) from error

    def close(self) -> None:
        """End the connection."""
        self._management.close()


class Auto:
    """RESP, or HTTP where RESP is not served; RESP is tried again after each break."""

    def __init__(self, resp: Resp, http: Http) -> None:
        self._resp, self._http = resp, http
        self._chosen: Source = resp

    @property
    def name(self) -> str:
        """The way in that was used last."""
        return self._chosen.name

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records the way that works."""
        try:
            return self._chosen.pop(count)
        except NotServed:
            self._chosen = self._http
        except (Unavailable, Refused):
            self._chosen = self._resp
            raise
        return self.pop(count)

    def close(self) -> None:
        """End both connections."""
        self._resp.close()
        self._http.close()


def source(settings: Settings) -> Source:
    """Choose the way in that the settings name; an address with a scheme speaks HTTP only."""
    host, port, key = settings.cliproxy_host, settings.cliproxy_port, settings.management_key
    http = Http(Management(address(host, port), key))
    if settings.usage_source == "http" or "://" in host:
        return http
    resp = Resp(host, port, key)
    return resp if settings.usage_source == "resp" else Auto(resp, http)
