"""`/export/NAME.csv` and `/export/NAME.jsonl`: every row of the events or of a view, streamed.

Datasette's own CSV of a query ends silently at its row limit, and its stream of a table stalls
every other request. Here one cursor in a separate thread reads a chunk at a time.
"""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple

from datasette import NotFound, hookimpl
from datasette.utils.asgi import AsgiStream

from plugins.security import require_permission

CHUNK_ROWS = 1000
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}
EVENTS = "events"
EVENT_FILTERS = ("account", "model", "client", "proxy", "failed", "request_id")
RANGE = """
  select starts_at, ends_at
  from ranges
  where range_key = json_array(:window, :from, :to)
"""
VIEW_COLUMNS = """
  select columns.name
  from sqlite_schema as views
  join pragma_table_info(views.name) as columns
  where views.type = 'view' and views.name = ?
"""

Writer = Callable[[list[str], list[tuple[Any, ...]], bool], str]
Parameters = dict[str, str]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Stream = Callable[[Any], Awaitable[None]]


class Select(NamedTuple):
    """A statement and its parameters."""

    sql: str
    parameters: dict[str, Any]


def as_csv(columns: list[str], rows: list[tuple[Any, ...]], is_first: bool) -> str:
    """Return rows as CSV, the first ones with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if is_first:
        writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def as_json_lines(columns: list[str], rows: list[tuple[Any, ...]], is_first: bool) -> str:
    """Return rows as JSON, one object a line."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    return "".join(f"{encode(dict(zip(columns, row, strict=True)))}\n" for row in rows)


WRITERS: dict[str, Writer] = {"csv": as_csv, "jsonl": as_json_lines}


def range_of(parameters: Parameters) -> Parameters:
    """Return the range that a request names; 24h when it names none."""
    first = parameters.get("from", "")
    window = "custom" if first else parameters.get("window") or "24h"
    return {"window": window, "from": first, "to": first and (parameters.get("to") or first)}


def select_events(parameters: Parameters, starts_at: int, ends_at: int) -> Select:
    """Return the select of the filtered events between two instants (ms), oldest first."""
    filters = [name for name in EVENT_FILTERS if parameters.get(name)]
    where = "".join(f" and {name} = :{name}" for name in filters)
    values = {name: parameters[name] for name in filters} | {"starts": starts_at, "ends": ends_at}
    if "failed" in values:
        values["failed"] = int(values["failed"] == "1")
    return Select(
        "select * from recent_requests where occurred_at >= :starts and occurred_at < :ends"
        f"{where} order by occurred_at",
        values,
    )


def select_view(view: str, columns: list[str], parameters: Parameters) -> Select:
    """Return the select of a view's rows, limited to the named range where the view has one."""
    if "range_key" in columns:
        clause = " where range_key = json_array(:window, :from, :to)"
    else:
        clause = " where window = :window" if "window" in columns else ""
    return Select(f'select * from "{view}"{clause}', range_of(parameters) if clause else {})


def select_for(conn: sqlite3.Connection, name: str, parameters: Parameters) -> Select | None:
    """Return the select of a request; None when there is no such view or range."""
    if name == EVENTS:
        bounds = conn.execute(RANGE, range_of(parameters)).fetchone()
        return select_events(parameters, *bounds) if bounds else None
    columns = [column for (column,) in conn.execute(VIEW_COLUMNS, (name,))]
    return select_view(name, columns, parameters) if columns else None


def connect(path: str) -> sqlite3.Connection:
    """Open the ledger for reading, from any thread."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)


def chunks(conn: sqlite3.Connection, select: Select, write: Writer) -> Generator[str, None, None]:
    """Yield a statement's rows in chunks of text."""
    cursor = conn.execute(*select)
    columns = [column[0] for column in cursor.description]
    is_first = True
    while (rows := cursor.fetchmany(CHUNK_ROWS)) or is_first:
        yield write(columns, rows, is_first)
        is_first = False


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def stream_of(conn: sqlite3.Connection, select: Select, write: Writer, receive: Receive) -> Stream:
    """Return the stream of an export: one chunk at a time, each read in a thread."""

    async def stream(response: Any) -> None:
        disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
        texts = chunks(conn, select, write)
        try:
            while not disconnected.done() and (text := await asyncio.to_thread(next, texts, "")):
                await response.write(text)
        finally:
            disconnected.cancel()
            texts.close()
            conn.close()

    return stream


async def export(datasette: Any, request: Any, receive: Receive) -> AsgiStream:
    """Answer a request for an export."""
    await require_permission(request, datasette)
    name, form = request.url_vars["name"], request.url_vars["format"]
    conn = connect(datasette.get_database("ledger").path)
    parameters = {key: request.args[key] for key in request.args}
    select = await asyncio.to_thread(select_for, conn, name, parameters)
    if select is None:
        conn.close()
        raise NotFound(f"There is no such window, or no view is named {name}.")
    return AsgiStream(
        stream_of(conn, select, WRITERS[form], receive),
        content_type=CONTENT_TYPES[form],
        headers={"content-disposition": f'attachment; filename="{name}.{form}"'},
    )


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register exports."""
    return [(r"^/export/(?P<name>\w+)\.(?P<format>csv|jsonl)$", export)]
