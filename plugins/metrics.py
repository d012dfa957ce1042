"""`/metrics`: counters and gauges for Prometheus, read from the ledger in one snapshot."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from datasette import Forbidden, Response, hookimpl
from datasette.utils import sqlite_timelimit
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.registry import Collector

from ledger.settings import read_live
from plugins.beside import Beside
from plugins.metric_families import Family, Source, empty, families
from plugins.metric_list import ACCOUNT_SOURCES, FILE_BYTES, GAP_SOURCE, SOURCES
from plugins.single_flight import SingleFlight

KEPT_SECONDS = 1.0
MOST_MS = 3000
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Format(NamedTuple):
    """How an answer is written, and what it ends with."""

    encode: Callable[[CollectorRegistry], bytes]
    content_type: str
    end: bytes


class Part(Collector):
    """What the ledger said of something at one moment, and how each format writes it."""

    def __init__(self, found: list[Family]) -> None:
        self._found = found
        self._texts: dict[str, bytes] = {}

    def collect(self) -> Iterator[Family]:
        """Give every family."""
        return iter(self._found)

    def text(self, chosen: Format) -> bytes:
        """Give it as a format writes it, worked out once."""
        if chosen.content_type not in self._texts:
            registry = CollectorRegistry()
            registry.register(self)
            self._texts[chosen.content_type] = chosen.encode(registry).removesuffix(chosen.end)
        return self._texts[chosen.content_type]


flights: SingleFlight[Part] = SingleFlight(KEPT_SECONDS)
accounts: Beside[Part] = Beside(young_seconds=0, old_seconds=120)
gaps: Beside[Part] = Beside(young_seconds=60, old_seconds=600)


def format_for(accept: str) -> Format:
    """Choose the format that whoever asks can read."""
    encode, content_type = choose_encoder(accept)
    if isinstance(encode, partial):
        # Every name is plain, and looking for what is not takes as long as all the rest.
        encode = partial(encode, escaping=ALLOWUTF8)
    return Format(encode, content_type, encode(CollectorRegistry()))


def written(parts: Sequence[Part], chosen: Format) -> Response:
    """Write the parts as one answer."""
    body = b"".join(part.text(chosen) for part in parts) + chosen.end
    return Response(body, content_type=chosen.content_type, headers=dict(HEADERS))


def read(conn: sqlite3.Connection, sources: Sequence[Source], chosen: Format) -> Part:
    """Read sources from one state of the ledger, and write them at once.

    Raises `sqlite3.OperationalError` ("interrupted") when it takes longer than 3 s.
    """
    conn.execute("begin")
    try:
        with sqlite_timelimit(conn, MOST_MS):
            part = Part(list(families(conn, sources)))
    finally:
        conn.rollback()
    part.text(chosen)
    return part


def account_sources() -> list[Source]:
    """Give what is told of accounts: no single ones where the settings say so."""
    hidden = {"quotas"} if read_live().metrics_accounts == "off" else set()
    return [source for name, source in ACCOUNT_SOURCES.items() if name not in hidden]


def file_bytes(file: Path) -> Part:
    """Measure the ledger's file and its write-ahead log."""
    found = empty(FILE_BYTES)
    found.add_metric(["database"], file.stat().st_size)
    log = file.with_name(f"{file.name}-wal")
    found.add_metric(["log"], log.stat().st_size if log.exists() else 0)
    return Part([found])


async def metrics(request: Any, datasette: Any) -> Response:
    """Answer a scrape; those that come at once share one look at the ledger."""
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")
    database = datasette.get_database("ledger")
    chosen = format_for(request.headers.get("accept", ""))

    def reading(sources: Sequence[Source]) -> Callable[[], Awaitable[Part]]:
        return lambda: database.execute_fn(lambda conn: read(conn, sources, chosen))

    try:
        found = await flights.get(database.path, reading(SOURCES))
    except sqlite3.OperationalError as error:
        return Response.text(f"The ledger cannot be read now: {error}.\n", status=503)
    beside = await accounts.get(reading(account_sources())), await gaps.get(reading([GAP_SOURCE]))
    parts = [part for part in (found, *beside, file_bytes(Path(database.path))) if part]
    return await asyncio.to_thread(written, parts, chosen)


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve scrapes."""
    return [(r"^/metrics$", metrics)]
