"""RESP frames as the proxy reads and writes them."""

from asyncio import IncompleteReadError, StreamReader
from collections.abc import Sequence

FIRST_BYTES = b"*$+-:"
OK = b"+OK\r\n"
NIL = b"$-1\r\n"


class ProtocolError(Exception):
    """The client sent something that is no array of strings."""


async def read_command(reader: StreamReader, first: bytes = b"") -> list[bytes] | None:
    """Read one command, `first` being what was read of it already; None at the end.

    Raises ProtocolError, and IncompleteReadError when the client leaves in the middle.
    """
    line = first + await reader.readline()
    if not line:
        return None
    _whole(line)
    return [await _string(reader) for _ in range(_count(line, b"*", least=0))]


def error(text: str) -> bytes:
    """Encode an error, its code word included."""
    return b"-%b\r\n" % text.encode()


def bulk(value: bytes | None) -> bytes:
    """Encode a string, or the nil string."""
    return NIL if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def array(values: Sequence[bytes]) -> bytes:
    """Encode an array of strings, as one piece."""
    body = b"".join([b"$%d\r\n%b\r\n" % (len(value), value) for value in values])
    return b"*%d\r\n%b" % (len(values), body)


def counted(word: bytes, channel: bytes, count: int) -> bytes:
    """Encode the answer to SUBSCRIBE and UNSUBSCRIBE."""
    return b"*3\r\n%b%b:%d\r\n" % (bulk(word), bulk(channel), count)


def pong(value: bytes | None) -> bytes:
    """Encode the answer to PING between messages."""
    return b"*2\r\n%b%b" % (bulk(b"pong"), bulk(value))


def unknown(command: str) -> bytes:
    """Encode the answer to a command that the proxy does not know."""
    return error(f"ERR unknown command '{command.lower()}'")


def unsupported(channel: str) -> bytes:
    """Encode the answer to a queue or channel name that the proxy does not know."""
    return error(f"ERR unsupported channel '{channel}'")


def wrong_number(command: str) -> str:
    """Word the complaint about a command with too few or too many arguments."""
    return f"ERR wrong number of arguments for '{command.lower()}' command"


def name(command: list[bytes]) -> str:
    """Return a command's name in upper case, empty for an empty command."""
    return command[0].strip().upper().decode(errors="replace") if command else ""


def texts(arguments: list[bytes]) -> list[str]:
    """Return arguments as text, to be noted."""
    return [argument.decode(errors="replace") for argument in arguments]


def head(reply: bytes) -> str:
    """Return the first line of a reply, which says what kind it is."""
    return reply[: reply.index(b"\r\n")].decode()


def _whole(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise IncompleteReadError(line, None)
    return line


def _count(line: bytes, prefix: bytes, *, least: int) -> int:
    if not line.startswith(prefix):
        raise ProtocolError
    try:
        count = int(line[1:].rstrip(b"\r\n"))
    except ValueError:
        raise ProtocolError from None
    if count < least:
        raise ProtocolError
    return count


async def _string(reader: StreamReader) -> bytes:
    line = _whole(await reader.readline())
    if line[:1] in (b"+", b":"):
        return line[1:].rstrip(b"\r\n")
    length = _count(line, b"$", least=-1)
    if length < 0:
        return b""
    body = await reader.readexactly(length + 2)
    if not body.endswith(b"\r\n"):
        raise ProtocolError
    return body[:-2]
