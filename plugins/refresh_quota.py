"""`POST /-/refresh-quota`: ask the quota worker, by a row in the ledger, to poll now."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from datasette import Response, hookimpl

from plugins.security import require_permission

PATH = "/-/refresh-quota"
REQUIRED_HEADER = ("x-requested-with", "cliproxy-ledger")
# A second request within a minute shares the open one.
OPEN_REQUEST = """
  select id from quota_requests
  cross join clock
  where answered_at is null and account_id is null and requested_at > now - 60000
  order by id desc
  limit 1
"""
INSERT_REQUEST = "insert into quota_requests (requested_at) select now from clock returning id"
IS_ANSWERED = "select answered_at is not null from quota_requests where id = ?"
MAX_WAIT_SECONDS = 5.0
POLL_SECONDS = 0.1


def request_refresh(conn: sqlite3.Connection) -> int:
    """Write a refresh request unless one is open; return its id."""
    with conn:
        row = conn.execute(OPEN_REQUEST).fetchone() or conn.execute(INSERT_REQUEST).fetchone()
    return row[0]


async def refresh_and_wait(database: Any) -> None:
    """Request a refresh and wait up to five seconds for its answer."""
    request_id = await database.execute_write_fn(request_refresh)
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        if await database.execute_fn(lambda conn: is_answered(conn, request_id)):
            return
        await asyncio.sleep(POLL_SECONDS)


def is_answered(conn: sqlite3.Connection, request_id: int) -> bool:
    """Return whether the quota worker has answered a refresh request."""
    return bool(conn.execute(IS_ANSWERED, (request_id,)).fetchone()[0])


async def refresh_quota(request: Any, datasette: Any) -> Response:
    """Accept a refresh request of our own page; another site's page cannot send the header."""
    if request.method != "POST" or request.headers.get(REQUIRED_HEADER[0]) != REQUIRED_HEADER[1]:
        return Response.json({"error": "POST with x-requested-with: cliproxy-ledger"}, status=405)
    await require_permission(request, datasette)
    request_id = await datasette.get_database("ledger").execute_write_fn(request_refresh)
    return Response.json({"id": request_id})


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register the route."""
    return [(rf"^{PATH}$", refresh_quota)]


@hookimpl
def skip_csrf(scope: dict[str, Any]) -> bool:
    """Return True for our own route, which is protected by a header that only our page can send."""
    return scope["path"] == PATH
