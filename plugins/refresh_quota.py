"""Ask the quota worker to look now: `POST /-/refresh-quota` leaves it a row."""

import sqlite3
from collections.abc import Callable
from typing import Any

from datasette import Forbidden, Response, hookimpl

PATH = "/-/refresh-quota"
MARK = ("x-requested-with", "cliproxy-ledger")
# Whoever asks while another's question is open shares it.
OPEN = """
  select id from quota_requests
  cross join clock
  where answered_at is null and account_id is null and requested_at > now - 60000
  order by id desc
  limit 1
"""
ASK = "insert into quota_requests (requested_at) select now from clock returning id"


def ask(conn: sqlite3.Connection) -> int:
    """Leave the question for the worker, unless one is open; give its id."""
    with conn:
        row = conn.execute(OPEN).fetchone() or conn.execute(ASK).fetchone()
    return row[0]


async def refresh_quota(request: Any, datasette: Any) -> Response:
    """Take a question from the page; another site's page cannot send the header."""
    if request.method != "POST" or request.headers.get(MARK[0]) != MARK[1]:
        return Response.json({"error": "POST with x-requested-with: cliproxy-ledger"}, status=405)
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")
    found = await datasette.get_database("ledger").execute_write_fn(ask)
    return Response.json({"id": found}, headers={"Cache-Control": "no-store"})


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Take the question."""
    return [(rf"^{PATH}$", refresh_quota)]


@hookimpl
def skip_csrf(scope: dict[str, Any]) -> bool:
    """The header that only our own page can send is the protection here."""
    return scope["path"] == PATH
