"""`/api/health`, `/api/summary`, `/api/quota` and `/api/requests`: the original script's JSON."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from datasette import Response, hookimpl

from ledger.queries import ask, database_of, window_names
from ledger.report import original_summary, pick_columns
from plugins.refresh_quota import refresh_and_wait
from plugins.security import require_permission

DEFAULT_REQUESTS, MAX_REQUESTS = 100, 500
QUOTAS = """
  select
    email, plan, allowed, limit_reached,
    primary_used_percent, primary_remaining_percent, primary_reset_at,
    secondary_used_percent, secondary_remaining_percent, secondary_reset_at,
    credits_balance, timestamp, ts_epoch
  from account_quotas
  order by email, plan
"""
REQUEST_FIELDS = (
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
    "unpriced",
)

Parameters = dict[str, str]
Json = dict[str, Any]


def json_response(value: Json, status: int = 200) -> Response:
    """Return JSON as the original wrote it: characters are not escaped."""
    body = msgspec.json.encode(value)
    return Response(body, status=status, content_type="application/json; charset=utf-8")


def health(conn: sqlite3.Connection, parameters: Parameters) -> Json:
    """Return the ledger's file name, without its path, and the number of credential files."""
    (files,) = conn.execute("select count(*) from credential_files").fetchone()
    path = conn.execute("select file from pragma_database_list where name = 'main'").fetchone()[0]
    return {"ok": True, "db": Path(path).name, "auth_files": files}


def summary(conn: sqlite3.Connection, parameters: Parameters) -> Json:
    """Return the sums of a window; an unknown one is today."""
    window, database = parameters.get("range", ""), database_of(conn)
    return original_summary(database, window if window in window_names(database) else "today")


def quota(conn: sqlite3.Connection, parameters: Parameters) -> Json:
    """Return each account's quota; null is unknown."""
    return {"quotas": [dict(row) for row in database_of(conn).query(QUOTAS)]}


def requests(conn: sqlite3.Connection, parameters: Parameters) -> Json:
    """Return the newest attempts."""
    text = parameters.get("limit", "")
    limit = int(text[:9]) if text.isdecimal() else DEFAULT_REQUESTS
    bounded = str(max(1, min(limit, MAX_REQUESTS)))
    rows = ask(database_of(conn), "requests", limit=bounded)
    return {
        "requests": pick_columns(
            [{**row, "source": row["account"]} for row in rows], REQUEST_FIELDS
        )
    }


ANSWERS: dict[str, Callable[[sqlite3.Connection, Parameters], Json]] = {
    "health": health,
    "summary": summary,
    "quota": quota,
    "requests": requests,
}


async def api(request: Any, datasette: Any) -> Response:
    """Answer a request to the API."""
    name = request.url_vars["name"]
    parameters = {key: request.args[key] for key in request.args}
    await require_permission(request, datasette)
    if name not in ANSWERS or request.method not in ("GET", "HEAD"):
        return json_response({"error": "not found"}, 404)
    database = datasette.get_database("ledger")
    # The request guard refuses this from another site's page.
    if name == "quota" and parameters.get("force") == "1":
        await refresh_and_wait(database)
    return json_response(await database.execute_fn(lambda conn: ANSWERS[name](conn, parameters)))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register the API, and a plain 404 for every other path below it."""
    return [(r"^/api/(?P<name>.*)$", api)]
