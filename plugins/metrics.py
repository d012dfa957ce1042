"""`/metrics`: counters and gauges for Prometheus, read from the ledger in one snapshot."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasette import Forbidden, Response, hookimpl
from datasette.utils import sqlite_timelimit
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.registry import Collector

from ledger import config
from plugins.beside import Beside
from plugins.metric_families import Family, Source, empty, families
from plugins.metric_list import ACCOUNT_SOURCES, FILE_BYTES, GAP_SOURCE, SOURCES
from plugins.single_flight import SingleFlight

KEPT_SECONDS = 1.0
MOST_MS = 3000
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

flights: SingleFlight[list[Family]] = SingleFlight(KEPT_SECONDS)
accounts: Beside[list[Family]] = Beside(young_seconds=0, old_seconds=120)
gaps: Beside[list[Family]] = Beside(young_seconds=60, old_seconds=600)


class Snapshot(Collector):
    """What the ledger said at one moment."""

    def __init__(self, found: list[Family]) -> None:
        self._found = found

    def collect(self) -> Iterator[Family]:
        """Give every family."""
        return iter(self._found)


def snapshot(conn: sqlite3.Connection, chosen: Sequence[Source]) -> list[Family]:
    """Read sources from one state of the ledger.

    Raises `sqlite3.OperationalError` ("interrupted") when it takes longer than 3 s.
    """
    conn.execute("begin")
    try:
        with sqlite_timelimit(conn, MOST_MS):
            return list(families(conn, chosen))
    finally:
        conn.rollback()


def account_sources() -> list[Source]:
    """Give what is told of accounts: no single ones where the settings say so."""
    raw = config.from_file(config.path()) | config.from_environment()
    hidden = {"quotas"} if raw.get("metrics_accounts") == "off" else set()
    return [source for name, source in ACCOUNT_SOURCES.items() if name not in hidden]


def file_bytes(file: Path) -> Family:
    """Measure the ledger's file and its write-ahead log."""
    found = empty(FILE_BYTES)
    found.add_metric(["database"], file.stat().st_size)
    log = file.with_name(f"{file.name}-wal")
    found.add_metric(["log"], log.stat().st_size if log.exists() else 0)
    return found


def encoded(found: list[Family], accept: str) -> Response:
    """Write what was read in the format that whoever asks can read."""
    registry = CollectorRegistry()
    registry.register(Snapshot(found))
    encode, content_type = choose_encoder(accept)
    if isinstance(encode, partial):
        # Every name is plain, and looking for what is not takes as long as all the rest.
        encode = partial(encode, escaping=ALLOWUTF8)
    return Response(encode(registry), content_type=content_type, headers=dict(HEADERS))


async def metrics(request: Any, datasette: Any) -> Response:
    """Answer a scrape; those that come at once share one look at the ledger."""
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")
    database = datasette.get_database("ledger")

    def reading(chosen: Sequence[Source]) -> Callable[[], Awaitable[list[Family]]]:
        return lambda: database.execute_fn(lambda conn: snapshot(conn, chosen))

    try:
        found = await flights.get(database.path, reading(SOURCES))
    except sqlite3.OperationalError as error:
        return Response.text(f"The ledger cannot be read now: {error}.\n", status=503)
    found = [
        *found,
        *(await accounts.get(reading(account_sources())) or []),
        *(await gaps.get(reading([GAP_SOURCE])) or []),
        file_bytes(Path(database.path)),
    ]
    return await asyncio.to_thread(encoded, found, request.headers.get("accept", ""))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve scrapes."""
    return [(r"^/metrics$", metrics)]
