"""A RESP connection after SUBSCRIBE: messages out, three commands in."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import TYPE_CHECKING

from demo import resp
from demo.queue import Channel

if TYPE_CHECKING:
    from demo.proxy import Proxy

GREETING = b'{"support_refresh":true}'


class Subscriber:
    """One subscription, from the reply to SUBSCRIBE to the end of the connection."""

    def __init__(self, proxy: Proxy, channel: Channel, name: bytes) -> None:
        greets = channel is proxy.queue.channel and proxy.speaks("control messages")
        self._proxy = proxy
        self._channel = channel
        self._name = name
        self._subscription = channel.subscribe(GREETING if greets else None)

    async def run(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve both directions until either ends: a leaving client, or one too slow."""
        ways = [asyncio.create_task(self._send(writer))]
        ways.append(asyncio.create_task(self._listen(reader, writer)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._channel.leave(self._subscription)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _send(self, writer: StreamWriter) -> None:
        while (payload := await self._subscription.take()) is not None:
            writer.write(resp.array([b"message", self._name, payload]))
            await writer.drain()

    async def _listen(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(resp.ProtocolError, asyncio.IncompleteReadError):
            while (command := await resp.read_command(reader)) is not None:
                name = resp.name(command)
                reply = self._answer(name, command[1:])
                arguments = resp.texts(command[1:])
                self._proxy.hear("resp", name, arguments=arguments, reply=resp.head(reply))
                writer.write(reply)
                if name in ("UNSUBSCRIBE", "QUIT"):
                    return
                await writer.drain()
            return
        writer.write(resp.error("ERR protocol error"))

    def _answer(self, name: str, arguments: list[bytes]) -> bytes:
        if name == "":
            return resp.error("ERR empty command")
        if name == "PING":
            return resp.pong(arguments[0] if arguments else None)
        if name == "UNSUBSCRIBE":
            return resp.counted(b"unsubscribe", self._name, 0)
        return resp.OK if name == "QUIT" else resp.unknown(name)
