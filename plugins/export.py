"""`/export/NAME.csv` and `/export/NAME.jsonl`: every row of the events, or of a view.

Datasette's own CSV of a query ends silently at its row limit, and its stream of a table stalls
every other request. Here one cursor in a thread of its own gives a chunk at a time.
"""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from datasette import Forbidden, NotFound, hookimpl
from datasette.utils.asgi import AsgiStream

CHUNK_ROWS = 1000
TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}
EVENTS = "events"
EVENT_COLUMNS = ("account", "model", "client", "proxy", "failed", "request_id")
SPAN = """
  select starts_at, ends_at
  from spans
  where window = :window and from_day = :from and to_day = :to
"""
VIEW_COLUMNS = """
  select columns.name
  from sqlite_schema as views
  join pragma_table_info(views.name) as columns
  where views.type = 'view' and views.name = ?
"""

Format = Callable[[list[str], list[tuple[Any, ...]], bool], str]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Stream = Callable[[Any], Awaitable[None]]


class Select(NamedTuple):
    """A statement and its parameters."""

    sql: str
    parameters: dict[str, Any]


def as_csv(names: list[str], rows: list[tuple[Any, ...]], is_first: bool) -> str:
    """Give rows as CSV, the first ones with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if is_first:
        writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def as_json_lines(names: list[str], rows: list[tuple[Any, ...]], is_first: bool) -> str:
    """Give rows as JSON, a line each."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    return "".join(f"{encode(dict(zip(names, row, strict=True)))}\n" for row in rows)


FORMATS: dict[str, Format] = {"csv": as_csv, "jsonl": as_json_lines}


def asked(given: dict[str, str]) -> dict[str, str]:
    """Give the span that a request names, 24h when it names none."""
    first = given.get("from", "")
    window = "custom" if first else given.get("window") or "24h"
    return {"window": window, "from": first, "to": first and (given.get("to") or first)}


def of_events(given: dict[str, str], starts_at: int, ends_at: int) -> Select:
    """Select the events between two instants (ms) that the filters leave, oldest first."""
    named = [name for name in EVENT_COLUMNS if given.get(name)]
    where = "".join(f" and {name} = :{name}" for name in named)
    parameters = {name: given[name] for name in named} | {"starts": starts_at, "ends": ends_at}
    if "failed" in parameters:
        parameters["failed"] = int(parameters["failed"] == "1")
    return Select(
        "select * from recent_requests where occurred_at >= :starts and occurred_at < :ends"
        f"{where} order by occurred_at",
        parameters,
    )


def of_view(view: str, columns: list[str], given: dict[str, str]) -> Select:
    """Select a view's rows; of the named span, where the view has one."""
    span = asked(given)
    kept = {"window": "window", "from_day": "from", "to_day": "to"}
    where = [f"{column} = :{name}" for column, name in kept.items() if column in columns]
    clause = f" where {' and '.join(where)}" if where else ""
    return Select(f'select * from "{view}"{clause}', span if where else {})


def chosen(conn: sqlite3.Connection, name: str, given: dict[str, str]) -> Select | None:
    """Find what a request asks for; None when there is no such thing."""
    if name == EVENTS:
        span = conn.execute(SPAN, asked(given)).fetchone()
        return of_events(given, *span) if span else None
    columns = [column for (column,) in conn.execute(VIEW_COLUMNS, (name,))]
    return of_view(name, columns, given) if columns else None


def connect(path: str) -> sqlite3.Connection:
    """Open the ledger for reading, for whichever thread comes next."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)


def chunks(conn: sqlite3.Connection, select: Select, form: Format) -> Iterator[str]:
    """Give a statement's rows in chunks of text."""
    cursor = conn.execute(*select)
    names = [column[0] for column in cursor.description]
    is_first = True
    while (rows := cursor.fetchmany(CHUNK_ROWS)) or is_first:
        yield form(names, rows, is_first)
        is_first = False


async def until_gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def streamed(conn: sqlite3.Connection, select: Select, form: Format, receive: Receive) -> Stream:
    """Give what writes an export: one chunk at a time, each made in a thread."""

    async def stream(writer: Any) -> None:
        gone = asyncio.ensure_future(until_gone(receive))
        made = chunks(conn, select, form)
        try:
            while not gone.done() and (text := await asyncio.to_thread(next, made, "")):
                await writer.write(text)
        finally:
            gone.cancel()
            made.close()
            conn.close()

    return stream


async def export(datasette: Any, request: Any, receive: Receive) -> AsgiStream:
    """Answer a request for an export."""
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")
    name, form = request.url_vars["name"], request.url_vars["format"]
    conn = connect(datasette.get_database("ledger").path)
    given = {key: request.args[key] for key in request.args}
    select = await asyncio.to_thread(chosen, conn, name, given)
    if select is None:
        conn.close()
        raise NotFound(f"There are no events of such a window, or no view is named {name}.")
    return AsgiStream(
        streamed(conn, select, FORMATS[form], receive),
        content_type=TYPES[form],
        headers={"content-disposition": f'attachment; filename="{name}.{form}"'},
    )


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve exports."""
    return [(r"^/export/(?P<name>\w+)\.(?P<format>csv|jsonl)$", export)]
