"""Read RESP replies without believing a length that no event has.

redis-py takes what a reply announces; a wrong word from the other end could take all memory.
"""

from typing import Any

import redis
from redis._parsers import _RESP2Parser
from redis._parsers.socket import SocketBuffer

LONGEST_RECORD = 64 << 20
LONGEST_REPLY = 256 << 20


class Buffer(SocketBuffer):
    """What was received, within bounds."""

    def read(self, length: int, *more: Any, **named: Any) -> bytes:
        """Read one string; raises `InvalidResponse` for a length that cannot be."""
        if not 0 <= length <= LONGEST_RECORD:
            raise redis.InvalidResponse("a string of impossible length")
        return super().read(length, *more, **named)

    def _read_from_socket(self, *more: Any, **named: Any) -> bool:
        if self.unread_bytes() + self._buffer.tell() > LONGEST_REPLY:
            raise redis.InvalidResponse("a reply without end")
        return super()._read_from_socket(*more, **named)


class Parser(_RESP2Parser):
    """The parser of RESP 2, over such a buffer."""

    def on_connect(self, connection: Any) -> None:
        """Begin to read from a new connection."""
        super().on_connect(connection)
        self._buffer = Buffer(self._sock, self.socket_read_size, connection.socket_timeout)
