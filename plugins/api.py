"""`/api/health`, `/api/summary`, `/api/quota` and `/api/requests`: the original script's JSON."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import sqlite_utils
from datasette import Forbidden, Response, hookimpl

from ledger.queries import ask
from ledger.report import RANGES, as_original, picked
from plugins.refresh_quota import ask as ask_worker

PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.1
REQUESTS, MOST_REQUESTS = 100, 500
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
QUOTAS = """
  select
    email, plan, allowed, limit_reached,
    primary_used_percent, primary_remaining_percent, primary_reset_at,
    secondary_used_percent, secondary_remaining_percent, secondary_reset_at,
    credits_balance, timestamp, ts_epoch
  from account_quotas
  order by email, plan
"""
REQUEST = (
    "timestamp",
    "local_time",
    "source",
    "auth_index",
    "model",
    "endpoint",
    "failed",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "total_tokens",
    "request_id",
    "id",
    "account",
    "provider",
    "client",
    "status_code",
    "code",
    "message",
    "ttft_ms",
    "cost_dollars",
)

Given = dict[str, str]


def reply(found: dict[str, Any], status: int = 200) -> Response:
    """Give JSON as the original did: characters as they are, never kept by a cache."""
    body = msgspec.json.encode(found)
    kind = "application/json; charset=utf-8"
    return Response(body, status=status, content_type=kind, headers=dict(HEADERS))


def health(conn: sqlite3.Connection, given: Given) -> dict[str, Any]:
    """Say that the ledger can be read, its name without its path, and the credential files."""
    (files,) = conn.execute("select count(*) from credential_files").fetchone()
    path = conn.execute("select file from pragma_database_list where name = 'main'").fetchone()[0]
    return {"ok": True, "db": Path(path).name, "auth_files": files}


def summary(conn: sqlite3.Connection, given: Given) -> dict[str, Any]:
    """Sum a window up; an unknown one is today."""
    window = given.get("range", "")
    return as_original(sqlite_utils.Database(conn), window if window in RANGES else "today")


def quota(conn: sqlite3.Connection, given: Given) -> dict[str, Any]:
    """List each account's quota; null is unknown."""
    return {"quotas": [dict(row) for row in sqlite_utils.Database(conn).query(QUOTAS)]}


def requests(conn: sqlite3.Connection, given: Given) -> dict[str, Any]:
    """List the newest attempts."""
    text = given.get("limit", "")
    limit = int(text[:9]) if text.isdecimal() else REQUESTS
    kept = str(max(1, min(limit, MOST_REQUESTS)))
    rows = ask(sqlite_utils.Database(conn), "requests", limit=kept)
    return {"requests": picked([{**row, "source": row["account"]} for row in rows], REQUEST)}


ANSWERS: dict[str, Callable[[sqlite3.Connection, Given], dict[str, Any]]] = {
    "health": health,
    "summary": summary,
    "quota": quota,
    "requests": requests,
}


def answered(conn: sqlite3.Connection, wish: int) -> bool:
    """Tell whether the worker has answered a question."""
    sql = "select answered_at is not null from quota_requests where id = ?"
    return bool(conn.execute(sql, (wish,)).fetchone()[0])


async def refresh(database: Any) -> None:
    """Ask the quota worker, and wait a few seconds for its answer."""
    wish = await database.execute_write_fn(ask_worker)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if await database.execute_fn(lambda conn: answered(conn, wish)):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def api(request: Any, datasette: Any) -> Response:
    """Answer a request to the API."""
    name, given = request.url_vars["name"], {key: request.args[key] for key in request.args}
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")
    if name not in ANSWERS or request.method not in ("GET", "HEAD"):
        return reply({"error": "not found"}, 404)
    database = datasette.get_database("ledger")
    # The guard lets no other site's page ask this.
    if name == "quota" and given.get("force") == "1":
        await refresh(database)
    return reply(await database.execute_fn(lambda conn: ANSWERS[name](conn, given)))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve the API, and a plain 404 for what it has not."""
    return [(r"^/api/(?P<name>.*)$", api)]
