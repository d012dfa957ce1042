"""HTTP requests and replies as plain values, so that a route is a function between them."""

import json
from dataclasses import dataclass
from typing import Any

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """A request as the routes see it; header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    address: str


@dataclass(frozen=True)
class Reply:
    """A reply before the headers that every one of them has.

    Its manner is how it comes: at once, or with a `hang`, a `drip` or a `reset`.
    """

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    manner: str = ""


NOT_FOUND = Reply(404, b"404 page not found", TEXT)


def reply(value: Any, status: int = 200) -> Reply:
    """Wrap a value as JSON, written as compactly as the proxy does."""
    return Reply(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def failure(text: str, status: int) -> Reply:
    """Wrap one of the proxy's error texts."""
    return reply({"error": text}, status)
