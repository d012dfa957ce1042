"""The dashboard at `/`, and its data at `/-/page.json`."""

import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from datasette import Forbidden, Response, hookimpl

from ledger.settings import read_live
from plugins.charts import released
from plugins.page_data import snapshot
from plugins.page_plan import PARAMETERS, asked
from plugins.reader import LANGUAGES
from plugins.single_flight import SingleFlight

KEPT_SECONDS = 1.0
YEAR = 365 * 86400
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

flights: SingleFlight[bytes] = SingleFlight(KEPT_SECONDS)


async def require_permission(request: Any, datasette: Any) -> None:
    """Raise `Forbidden` where the ledger is closed to whoever asks."""
    allowed = datasette.permission_allowed
    if not await allowed(request.actor, "view-database", "ledger", default=True):
        raise Forbidden("view-database")


async def page(request: Any, datasette: Any) -> Response:
    """Serve the page itself, which then asks for its data."""
    await require_permission(request, datasette)
    settings = read_live()
    html = await datasette.render_template(
        "dashboard.html",
        {
            "has_key": bool(settings.management_key or settings.proxies),
            "charts": datasette.urls.path(f"/-/charts-{released()}.js"),
            "data": datasette.urls.path("/-/page.json" + named(request)),
        },
        request=request,
    )
    response = Response.html(html, headers=dict(HEADERS))
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie("lang", request.args["lang"], max_age=YEAR, samesite="lax")
    return response


def named(request: Any) -> str:
    """Give the address's parameters that the data depends on."""
    given = {name: request.args[name] for name in PARAMETERS if request.args.get(name)}
    return f"?{urlencode(given)}" if given else ""


async def data(request: Any, datasette: Any) -> Response:
    """Serve the page's data: one computation a second, however many browsers ask."""
    await require_permission(request, datasette)
    given = {name: request.args[name] for name in request.args}
    question, is_masked = asked(given), given.get("mask") == "1"
    database = datasette.get_database("ledger")

    async def compute() -> bytes:
        return await database.execute_fn(lambda conn: snapshot(conn, question, is_masked=is_masked))

    try:
        body = await flights.get((question, is_masked), compute)
    except sqlite3.OperationalError as error:
        return Response.json({"error": str(error)}, status=503, headers=dict(HEADERS))
    return Response(body, content_type="application/json; charset=utf-8", headers=dict(HEADERS))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve the page in Datasette's place."""
    return [(r"^/$", page), (r"^/-/page\.json$", data)]
