"""One HTTP connection to the proxy."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import h11

from demo import management
from demo.manners import deliver
from demo.messages import Reply, Request
from demo.providers import PREFIX

if TYPE_CHECKING:
    from demo.proxy import Proxy

MALFORMED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n400 Bad Request"
)


async def converse(
    proxy: Proxy, reader: StreamReader, writer: StreamWriter, *, first: bytes
) -> None:
    """Answer requests until the client leaves; `first` is what was read of the first one."""
    connection = h11.Connection(h11.SERVER)
    line = first + await reader.readline()
    if not line.rstrip().endswith((b"HTTP/1.1", b"HTTP/1.0")):
        writer.write(MALFORMED)
        return
    connection.receive_data(line)
    peer = writer.get_extra_info("peername")[0]
    try:
        while (request := await _read(connection, reader, peer)) is not None:
            await proxy.delay()
            reply = _answer(proxy, request)
            data = _encode(connection, reply, bare=request.method == "HEAD")
            await deliver(writer, data, reply.manner)
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        writer.write(MALFORMED)


def _answer(proxy: Proxy, request: Request) -> Reply:
    asks_provider = request.path.startswith(PREFIX)
    reply = proxy.providers.answer(request) if asks_provider else management.answer(proxy, request)
    said = [f"{name}={value}" for name, value in request.query.items()]
    command = f"{request.method} {request.path}"
    proxy.hear("http", command, arguments=said, reply=str(reply.status))
    return reply


async def _read(connection: h11.Connection, reader: StreamReader, peer: str) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head, bytes(body), peer)
        else:
            return None


def _request(head: h11.Request, body: bytes, peer: str) -> Request:
    url = urlsplit(head.target.decode("latin-1"))
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    # The proxy believes anybody's X-Forwarded-For, its ban included.
    address = headers.get("x-forwarded-for", peer).split(",")[0].strip()
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(head.method.decode(), url.path, query, headers, body, address)


def _encode(connection: h11.Connection, reply: Reply, *, bare: bool) -> bytes:
    headers = [
        ("Content-Type", reply.kind),
        ("Content-Length", str(len(reply.body))),
        ("Date", formatdate(usegmt=True)),
        *reply.headers,
    ]
    reason = responses.get(reply.status, "")
    pieces = [
        connection.send(h11.Response(status_code=reply.status, headers=headers, reason=reason)),
        connection.send(h11.Data(data=b"" if bare else reply.body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(piece for piece in pieces if piece)
