"""HTTP messages: parsed requests, replies as values, and the faults with which a reply is sent."""

import asyncio
import json
import socket
import struct
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from email.utils import formatdate
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
MALFORMED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n400 Bad Request"
)
HANG_SECONDS, DRIP_SECONDS = 3600.0, 0.05
# With this option the kernel sends a reset when the socket is closed.
LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """A request; header names are lower case, `address` is the client's."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    address: str


@dataclass(frozen=True)
class Reply:
    """A reply before the headers that all replies have.

    `fault` is empty, or `hang`, `drip` (byte by byte) or `reset`.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    fault: str = ""


NOT_FOUND = Reply(404, b"404 page not found", TEXT)


def reply(value: Any, status: int = 200) -> Reply:
    """Return a value as JSON, as compact as the proxy writes it."""
    return Reply(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def failure(text: str, status: int) -> Reply:
    """Return one of the proxy's errors."""
    return reply({"error": text}, status)


async def read_request(
    connection: h11.Connection, reader: StreamReader, peer: str
) -> Request | None:
    """Read the next request; None when the client has closed the connection."""
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
    # The proxy trusts X-Forwarded-For from any client, for its ban too.
    address = headers.get("x-forwarded-for", peer).split(",")[0].strip()
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(head.method.decode(), url.path, query, headers, body, address)


def encode(connection: h11.Connection, reply: Reply, *, without_body: bool) -> bytes:
    """Return the bytes of a reply."""
    headers = [
        ("Content-Type", reply.content_type),
        ("Content-Length", str(len(reply.body))),
        ("Date", formatdate(usegmt=True)),
        *reply.headers,
    ]
    reason = responses.get(reply.status, "")
    parts = [
        connection.send(h11.Response(status_code=reply.status, headers=headers, reason=reason)),
        connection.send(h11.Data(data=b"" if without_body else reply.body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in parts if part)


async def send(writer: StreamWriter, data: bytes, fault: str) -> None:
    """Send the bytes of a reply with a fault of `Reply`."""
    if fault == "hang":
        await asyncio.sleep(HANG_SECONDS)
    elif fault == "drip":
        for byte in data:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)
    elif fault == "reset":
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        writer.transport.abort()
    else:
        writer.write(data)
        await writer.drain()
