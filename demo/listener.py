"""The one port: who is connected, and which language the first byte speaks."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import TYPE_CHECKING

from demo import http, resp, versions
from demo.session import Session

if TYPE_CHECKING:
    from demo.proxy import Proxy

HOST = "127.0.0.1"
# The proxy limits neither lines nor strings.
LONGEST_LINE = 2**26
# An accepted connection is made, greeted and, when cut, closed within four turns of the loop.
TURNS = 10


class Listener:
    """A listening socket and its connections, for one event loop."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], StreamWriter] = {}
        self._accepting = asyncio.Lock()

    async def open(self, port: int) -> int:
        """Listen, and return the port: the given one unless it was 0."""
        self._server = await asyncio.start_server(
            self._greet, HOST, port, limit=LONGEST_LINE, backlog=256
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut every connection; harmless when not listening."""
        if self._server is None:
            return
        server, self._server = self._server, None
        # What was accepted just now is let in first: a closed server of Python 3.11 drops it open.
        for line in server.sockets:
            asyncio.get_running_loop().remove_reader(line.fileno())
        await _settle()
        for talk, writer in self._talks.items():
            writer.transport.abort()
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await _settle()
        server.close()
        await server.wait_closed()

    def _greet(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._server is None:
            # Accepted before the end, greeted after it.
            writer.transport.abort()
            return
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks[talk] = writer
        talk.add_done_callback(self._talks.pop)

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._dispatch(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _dispatch(self, reader: StreamReader, writer: StreamWriter) -> None:
        first = await self._first_byte(reader)
        if not first:
            return
        if first in resp.FIRST_BYTES and self._proxy.speaks("resp"):
            await self._serve_resp(reader, writer, first)
        else:
            await http.converse(self._proxy, reader, writer, first=first)

    async def _first_byte(self, reader: StreamReader) -> bytes:
        if not self._proxy.speaks("free accept loop"):
            # Before v7.0.3 one silent connection keeps everybody else waiting.
            async with self._accepting:
                return await reader.read(1)
        return await asyncio.wait_for(reader.read(1), self._proxy.first_byte_seconds)

    async def _serve_resp(self, reader: StreamReader, writer: StreamWriter, first: bytes) -> None:
        if not self._proxy.managed:
            return
        if versions.refuses_resp(self._proxy.version):
            writer.write(resp.error("ERR RESP AUTH disabled; use mTLS"))
        elif self._proxy.home and self._proxy.speaks("home refusal"):
            writer.write(resp.error("ERR redis usage output disabled in home mode"))
        else:
            await Session(self._proxy, reader, writer).run(first)


async def _settle() -> None:
    """Let the loop finish what it has begun, however slow the machine: turns, not time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
