"""The fake proxy: RESP, management API and providers on one port, served from a thread."""

import asyncio
import functools
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import h11

from demo import http, management, resp, versions
from demo.providers import PREFIX as PROVIDERS
from demo.proxy_state import ProxyState

HOST = "127.0.0.1"
# The proxy limits neither lines nor strings.
MAX_LINE_BYTES = 2**26
# After this many events, the loop lets the connections of subscribers send.
EVENTS_PER_TURN = 100
# Accepting a connection, starting its task and closing it take at most four turns of the loop.
SETTLE_TURNS = 10
# Long enough for a busy machine; exceeded only when the loop has stopped.
TIMEOUT_SECONDS = 30.0


class Served(Protocol):
    """An object whose event loop runs in another thread; None while it does not run."""

    loop: asyncio.AbstractEventLoop | None


S = TypeVar("S", bound=Served)
P = ParamSpec("P")


def from_any_thread(
    work: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], None]:
    """Turn a coroutine method into an ordinary one, for any thread except the serving one.

    The method runs in the serving thread, and the call waits for its end. Raises RuntimeError
    when nothing is being served.
    """

    @functools.wraps(work)
    def wait(served: S, *args: P.args, **kwargs: P.kwargs) -> None:
        if served.loop is None:
            raise RuntimeError("the proxy is not being served")
        done = asyncio.run_coroutine_threadsafe(work(served, *args, **kwargs), served.loop)
        done.result(TIMEOUT_SECONDS)

    return wait


class FakeProxy(ProxyState):
    """A proxy of any version, on 127.0.0.1; see `ProxyState` for its settings and faults.

    `routes` may be changed at any time.
    """

    loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.routes = management.routes()
        self._listener = Listener(
            self, lambda request: management.answer(self, self.routes, request)
        )

    def _answer_management(self, request: http.Request) -> http.Reply:
        return management.answer(self, self.routes, request)

    @from_any_thread
    async def push(self, payloads: Sequence[bytes]) -> None:
        """Publish events: all are queued, sent to subscribers or discarded on return."""
        for number, payload in enumerate(payloads, start=1):
            self.publish(payload)
            if number % EVENTS_PER_TURN == 0 and self.queue.channel.subscriptions:
                await asyncio.sleep(0)

    @from_any_thread
    async def push_error(self, payload: bytes) -> None:
        """Publish one message on the `errors` channel."""
        self.errors.publish(payload)

    @from_any_thread
    async def refresh(self) -> None:
        """Send subscribers the message that credentials or configuration were read again."""
        self.publish_refresh()

    @from_any_thread
    async def start(self) -> None:
        """Listen, on the port of the last time."""
        self.port = await self._listener.open(self.port)

    @from_any_thread
    async def stop(self) -> None:
        """Close every connection and refuse new ones; the queue stays, see `lose_queue`."""
        await self._listener.close()

    @from_any_thread
    async def lose_queue(self) -> None:
        """Drop the queue and all subscribers, as a restart of the proxy does."""
        self.drop_queue()

    @from_any_thread
    async def remove_key(self) -> None:
        """Switch management off while running, which drops the queue."""
        self.key = None
        self.drop_queue()


class Listener:
    """A listening socket and its connections, for one event loop."""

    def __init__(
        self, proxy: ProxyState, answer_management: Callable[[http.Request], http.Reply]
    ) -> None:
        self._proxy = proxy
        self._answer_management = answer_management
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], StreamWriter] = {}
        self._accepting = asyncio.Lock()

    async def open(self, port: int) -> int:
        """Listen, and return the port: `port` itself unless it is 0."""
        self._server = await asyncio.start_server(
            self._accept, HOST, port, limit=MAX_LINE_BYTES, backlog=256
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and close every connection; do nothing when not listening."""
        if self._server is None:
            return
        server, self._server = self._server, None
        # Python 3.11 leaves a connection open that was accepted just before its server was
        # closed: such connections are accepted first.
        for line in server.sockets:
            asyncio.get_running_loop().remove_reader(line.fileno())
        await _settle()
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await _settle()
        server.close()
        await server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._server is None:
            # Accepted before `close`, reported after it.
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._dispatch(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _dispatch(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve the protocol that the first byte belongs to."""
        first = await self._first_byte(reader)
        if not first:
            return
        if first in resp.FIRST_BYTES and self._proxy.has_feature("resp"):
            await self._serve_resp(reader, writer, first)
        else:
            await self._serve_http(reader, writer, first)

    async def _first_byte(self, reader: StreamReader) -> bytes:
        if not self._proxy.has_feature("free accept loop"):
            # Before v7.0.3 one silent connection blocks all others.
            async with self._accepting:
                return await reader.read(1)
        return await asyncio.wait_for(reader.read(1), self._proxy.first_byte_seconds)

    async def _serve_resp(self, reader: StreamReader, writer: StreamWriter, first: bytes) -> None:
        if not self._proxy.has_management:
            return
        if versions.refuses_resp(self._proxy.version):
            writer.write(resp.error("ERR RESP AUTH disabled; use mTLS"))
        elif self._proxy.home and self._proxy.has_feature("home refusal"):
            writer.write(resp.error("ERR redis usage output disabled in home mode"))
        else:
            await resp.Session(self._proxy, reader, writer).run(first)

    async def _serve_http(self, reader: StreamReader, writer: StreamWriter, first: bytes) -> None:
        """Answer requests until the client leaves; `first` is the first byte of the first one."""
        connection = h11.Connection(h11.SERVER)
        line = first + await reader.readline()
        if not line.rstrip().endswith((b"HTTP/1.1", b"HTTP/1.0")):
            writer.write(http.MALFORMED)
            return
        connection.receive_data(line)
        peer = writer.get_extra_info("peername")[0]
        try:
            while (request := await http.read_request(connection, reader, peer)) is not None:
                await self._proxy.wait_stall()
                reply = self._answer(request)
                data = http.encode(connection, reply, without_body=request.method == "HEAD")
                await http.send(writer, data, reply.fault)
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except h11.RemoteProtocolError:
            writer.write(http.MALFORMED)

    def _answer(self, request: http.Request) -> http.Reply:
        if request.path.startswith(PROVIDERS):
            reply = self._proxy.providers.answer(request)
        else:
            reply = self._answer_management(request)
        arguments = [f"{name}={value}" for name, value in request.query.items()]
        command = f"{request.method} {request.path}"
        self._proxy.log_command("http", command, arguments=arguments, reply=str(reply.status))
        return reply


async def _settle() -> None:
    """Let the loop finish pending work. Turns are counted, since time depends on the machine."""
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)


@contextmanager
def serving(proxy: FakeProxy) -> Iterator[FakeProxy]:
    """Serve `proxy` on `proxy.port` inside the block; everything of it is closed afterwards."""
    proxy.loop = asyncio.new_event_loop()
    thread = Thread(target=proxy.loop.run_forever, name="fake-proxy", daemon=True)
    thread.start()
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join()
        proxy.loop.close()
        proxy.loop = None
