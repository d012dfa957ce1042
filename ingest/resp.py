"""Pop the proxy's usage queue over RESP: AUTH, then LPOP, on one connection.

Wire format: `internal/api/redis_queue_protocol.go` of CLIProxyAPI.
"""

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from ingest.bounded import Parser
from runtime.errors import Unavailable
from runtime.refusals import refusal

# Older proxies accept any key name; from v7.1.44 on it must be this one.
QUEUE = "usage"
ANSWER_SECONDS = 4.0


class NotServed(Unavailable):
    """RESP is not spoken at this address."""


class CutOff(Unavailable):
    """The connection ended between a pop and its reply, so that a batch may be lost."""


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
            parser_class=Parser,
        )
        self._connected = False

    @property
    def is_open(self) -> bool:
        """Whether the key was accepted on the connection that is open."""
        return self._connected

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
