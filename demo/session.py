"""One RESP connection: what the proxy answers to each command."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from typing import TYPE_CHECKING

from demo import resp
from demo.subscriber import Subscriber

if TYPE_CHECKING:
    from demo.proxy import Proxy

NO_LOGIN = "NOAUTH Authentication required."
NOT_A_COUNT = "ERR value is not an integer or out of range"


class Session:
    """A client's way from its first word to a subscription or the end."""

    def __init__(self, proxy: Proxy, reader: StreamReader, writer: StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._address: str = writer.get_extra_info("peername")[0]
        self._trusted = False
        self._cut = False
        self._subscriber: Subscriber | None = None

    async def run(self, first: bytes) -> None:
        """Answer commands until the client leaves, subscribes, or is sent away."""
        while self._proxy.managed and self._subscriber is None:
            command = await self._hear(first)
            if command is None:
                return
            first = b""
            await self._proxy.delay()
            self._writer.write(self._reply(command))
            if self._cut:
                return
            await self._writer.drain()
        if self._subscriber is not None:
            await self._subscriber.run(self._reader, self._writer)

    async def _hear(self, first: bytes) -> list[bytes] | None:
        try:
            return await resp.read_command(self._reader, first)
        except resp.ProtocolError:
            self._writer.write(resp.error("ERR protocol error"))
            return None

    def _reply(self, command: list[bytes]) -> bytes:
        if not command:
            return resp.error("ERR empty command")
        name = resp.name(command)
        reply = self._answer(name, command[1:])
        arguments = ["***"] * len(command[1:]) if name == "AUTH" else resp.texts(command[1:])
        self._proxy.hear("resp", name, arguments=arguments, reply=resp.head(reply))
        if not self._cut:
            return reply
        after = self._proxy.cut_after
        return reply[: len(reply) // 2 if after is None else after]

    def _answer(self, name: str, arguments: list[bytes]) -> bytes:
        if name == "AUTH":
            return self._auth(arguments)
        if not self._trusted:
            # The proxy counts any word before AUTH as a failed login.
            return self._refuse(NO_LOGIN)
        if name in ("LPOP", "RPOP"):
            return self._pop(name, arguments)
        if name == "SUBSCRIBE" and self._proxy.speaks("subscribe"):
            return self._subscribe(arguments)
        return resp.unknown(name)

    def _auth(self, arguments: list[bytes]) -> bytes:
        self._proxy.auth_attempts += 1
        if len(arguments) not in (1, 2):
            return self._refuse(resp.wrong_number("auth"))
        tried = arguments[-1].decode(errors="replace")
        refusal = self._proxy.check(self._address, tried)
        if refusal is not None:
            return resp.error(f"ERR {refusal.text}")
        self._trusted = True
        return resp.OK

    def _refuse(self, text: str) -> bytes:
        refusal = self._proxy.check(self._address, "")
        if refusal is not None and refusal.banned:
            return resp.error(f"ERR {refusal.text}")
        return resp.error(text)

    def _pop(self, name: str, arguments: list[bytes]) -> bytes:
        if len(arguments) not in (1, 2):
            return resp.error(resp.wrong_number(name))
        count = _positive(arguments[1]) if len(arguments) == 2 else 1
        if count is None:
            return resp.error(NOT_A_COUNT)
        key = arguments[0].strip().decode(errors="replace")
        if self._proxy.speaks("key name") and key.lower() != "usage":
            return resp.unsupported(key)
        batch = self._proxy.pop(count)
        self._cut = bool(batch) and self._proxy.cuts()
        if len(arguments) == 2:
            return resp.array(batch)
        return resp.bulk(batch[0] if batch else None)

    def _subscribe(self, arguments: list[bytes]) -> bytes:
        if len(arguments) != 1:
            return resp.error(resp.wrong_number("subscribe"))
        asked = arguments[0].strip().decode(errors="replace")
        channel = self._proxy.channel(asked.lower())
        if channel is None:
            return resp.unsupported(asked)
        echo = asked if self._proxy.speaks("subscribe errors") else "usage"
        self._subscriber = Subscriber(self._proxy, channel, echo.encode())
        return resp.counted(b"subscribe", echo.encode(), 1)


def _positive(text: bytes) -> int | None:
    try:
        count = int(text.strip())
    except ValueError:
        return None
    return count if count > 0 else None
