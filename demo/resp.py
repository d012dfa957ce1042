"""RESP: frames as the proxy reads and writes them, and a client's connection."""

import asyncio
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress

from demo.proxy_state import Channel, ProxyState

FIRST_BYTES = b"*$+-:"
OK = b"+OK\r\n"
NIL = b"$-1\r\n"
NO_LOGIN = "NOAUTH Authentication required."
NOT_A_COUNT = "ERR value is not an integer or out of range"
GREETING = b'{"support_refresh":true}'


class ProtocolError(Exception):
    """The client sent something other than an array of strings."""


async def read_command(reader: StreamReader, first: bytes = b"") -> list[bytes] | None:
    """Read one command, of which `first` was read already; None at the end of the stream.

    Raises ProtocolError, and IncompleteReadError when the stream ends inside a command.
    """
    line = first + await reader.readline()
    if not line:
        return None
    _whole(line)
    return [await _string(reader) for _ in range(_count(line, b"*", least=0))]


def error(text: str) -> bytes:
    """Return an error frame; the text includes the error code."""
    return b"-%b\r\n" % text.encode()


def bulk(value: bytes | None) -> bytes:
    """Return a bulk string, or the nil string."""
    return NIL if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def array(values: Sequence[bytes]) -> bytes:
    """Return an array of bulk strings."""
    body = b"".join([b"$%d\r\n%b\r\n" % (len(value), value) for value in values])
    return b"*%d\r\n%b" % (len(values), body)


def subscription_reply(word: bytes, channel: bytes, count: int) -> bytes:
    """Return the reply to SUBSCRIBE or UNSUBSCRIBE."""
    return b"*3\r\n%b%b:%d\r\n" % (bulk(word), bulk(channel), count)


def pong(value: bytes | None) -> bytes:
    """Return the reply to PING on a subscribed connection."""
    return b"*2\r\n%b%b" % (bulk(b"pong"), bulk(value))


def unknown_command(command: str) -> bytes:
    """Return the reply to a command that the proxy does not know."""
    return error(f"ERR unknown command '{command.lower()}'")


def unsupported_channel(channel: str) -> bytes:
    """Return the reply to a queue or channel name that the proxy does not know."""
    return error(f"ERR unsupported channel '{channel}'")


def wrong_number(command: str) -> str:
    """Return the error text for too few or too many arguments."""
    return f"ERR wrong number of arguments for '{command.lower()}' command"


def command_name(command: list[bytes]) -> str:
    """Return a command's name in upper case, empty for an empty command."""
    return command[0].strip().upper().decode(errors="replace") if command else ""


def texts(arguments: list[bytes]) -> list[str]:
    """Return arguments as text, for the log."""
    return [argument.decode(errors="replace") for argument in arguments]


def first_line(reply: bytes) -> str:
    """Return the first line of a reply, which holds its type."""
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


class Session:
    """A client's RESP connection until it subscribes or ends."""

    def __init__(self, proxy: ProxyState, reader: StreamReader, writer: StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._address: str = writer.get_extra_info("peername")[0]
        self._authenticated = False
        self._cut = False
        self._subscriber: Subscriber | None = None

    async def run(self, first: bytes) -> None:
        """Answer commands until the client leaves or is disconnected, then its subscription."""
        while self._proxy.has_management and self._subscriber is None:
            command = await self._read(first)
            if command is None:
                return
            first = b""
            await self._proxy.wait_stall()
            self._writer.write(self._reply(command))
            if self._cut:
                return
            await self._writer.drain()
        if self._subscriber is not None:
            await self._subscriber.run(self._reader, self._writer)

    async def _read(self, first: bytes) -> list[bytes] | None:
        try:
            return await read_command(self._reader, first)
        except ProtocolError:
            self._writer.write(error("ERR protocol error"))
            return None

    def _reply(self, command: list[bytes]) -> bytes:
        if not command:
            return error("ERR empty command")
        name = command_name(command)
        reply = self._answer(name, command[1:])
        arguments = ["***"] * len(command[1:]) if name == "AUTH" else texts(command[1:])
        self._proxy.log_command("resp", name, arguments=arguments, reply=first_line(reply))
        if not self._cut:
            return reply
        after = self._proxy.cut_after
        return reply[: len(reply) // 2 if after is None else after]

    def _answer(self, name: str, arguments: list[bytes]) -> bytes:
        if name == "AUTH":
            return self._auth(arguments)
        if not self._authenticated:
            # The proxy counts any command before AUTH as a failed login.
            return self._refuse(NO_LOGIN)
        if name in ("LPOP", "RPOP"):
            return self._pop(name, arguments)
        if name == "SUBSCRIBE" and self._proxy.has_feature("subscribe"):
            return self._subscribe(arguments)
        return unknown_command(name)

    def _auth(self, arguments: list[bytes]) -> bytes:
        self._proxy.auth_attempts += 1
        if len(arguments) not in (1, 2):
            return self._refuse(wrong_number("auth"))
        tried = arguments[-1].decode(errors="replace")
        refusal = self._proxy.refusal(self._address, tried)
        if refusal is not None:
            return error(f"ERR {refusal.text}")
        self._authenticated = True
        return OK

    def _refuse(self, text: str) -> bytes:
        refusal = self._proxy.refusal(self._address, "")
        if refusal is not None and refusal.banned:
            return error(f"ERR {refusal.text}")
        return error(text)

    def _pop(self, name: str, arguments: list[bytes]) -> bytes:
        if len(arguments) not in (1, 2):
            return error(wrong_number(name))
        count = _positive(arguments[1]) if len(arguments) == 2 else 1
        if count is None:
            return error(NOT_A_COUNT)
        key = arguments[0].strip().decode(errors="replace")
        if self._proxy.has_feature("key name") and key.lower() != "usage":
            return unsupported_channel(key)
        batch = self._proxy.pop(count)
        self._cut = bool(batch) and self._proxy.cut_next_pop()
        if len(arguments) == 2:
            return array(batch)
        return bulk(batch[0] if batch else None)

    def _subscribe(self, arguments: list[bytes]) -> bytes:
        if len(arguments) != 1:
            return error(wrong_number("subscribe"))
        name = arguments[0].strip().decode(errors="replace")
        channel = self._proxy.channel(name.lower())
        if channel is None:
            return unsupported_channel(name)
        echo = name if self._proxy.has_feature("subscribe errors") else "usage"
        self._subscriber = Subscriber(self._proxy, channel, echo.encode())
        return subscription_reply(b"subscribe", echo.encode(), 1)


class Subscriber:
    """A connection after SUBSCRIBE: sends messages, and accepts three commands."""

    def __init__(self, proxy: ProxyState, channel: Channel, name: bytes) -> None:
        greets = channel is proxy.queue.channel and proxy.has_feature("control messages")
        self._proxy = proxy
        self._channel = channel
        self._name = name
        self._subscription = channel.subscribe(GREETING if greets else None)

    async def run(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Send and receive until the client leaves or is too slow."""
        tasks = [asyncio.create_task(self._send(writer))]
        tasks.append(asyncio.create_task(self._receive(reader, writer)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._channel.unsubscribe(self._subscription)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, writer: StreamWriter) -> None:
        while (payload := await self._subscription.take()) is not None:
            writer.write(array([b"message", self._name, payload]))
            await writer.drain()

    async def _receive(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ProtocolError, IncompleteReadError):
            while (command := await read_command(reader)) is not None:
                name = command_name(command)
                reply = self._answer(name, command[1:])
                arguments = texts(command[1:])
                self._proxy.log_command("resp", name, arguments=arguments, reply=first_line(reply))
                writer.write(reply)
                if name in ("UNSUBSCRIBE", "QUIT"):
                    return
                await writer.drain()
            return
        writer.write(error("ERR protocol error"))

    def _answer(self, name: str, arguments: list[bytes]) -> bytes:
        if name == "":
            return error("ERR empty command")
        if name == "PING":
            return pong(arguments[0] if arguments else None)
        if name == "UNSUBSCRIBE":
            return subscription_reply(b"unsubscribe", self._name, 0)
        return OK if name == "QUIT" else unknown_command(name)


def _positive(text: bytes) -> int | None:
    try:
        count = int(text.strip())
    except ValueError:
        return None
    return count if count > 0 else None
