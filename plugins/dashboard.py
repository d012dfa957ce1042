"""The dashboard at `/`, and its data at `/-/page.json`."""

import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from datasette import Response, hookimpl

from ledger.prices.edition import price_list
from ledger.settings import Settings, read_live
from plugins.cache import SingleFlight
from plugins.charts import script_version
from plugins.locales import LANGUAGES, language_of
from plugins.page_queries import (
    ACCOUNTS_SHOWN,
    PARAMETERS,
    REQUESTS_SHOWN,
    ROWS_SHOWN,
    SERIES_CHARTS,
    button_ranges,
    default_range,
    parse,
    snapshot,
)
from plugins.security import require_permission

CACHE_SECONDS = 1.0
YEAR_SECONDS = 365 * 86400
# Stricter than what every response has.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

# What the page's scripts must know of its data.
PAGE_SETTINGS = {
    "parameters": PARAMETERS,
    "rows_shown": ROWS_SHOWN,
    "accounts_shown": ACCOUNTS_SHOWN,
    "requests_shown": REQUESTS_SHOWN,
}

flights: SingleFlight[bytes] = SingleFlight(CACHE_SECONDS)


async def page(request: Any, datasette: Any) -> Response:
    """Serve the page itself, which then requests its data."""
    await require_permission(request, datasette)
    settings = read_live()
    html = await datasette.render_template(
        "dashboard.html",
        {
            "has_key": bool(settings.management_key or settings.proxies),
            "charts": datasette.urls.path(f"/-/charts-{script_version()}.js"),
            "data": datasette.urls.path("/-/page.json" + data_query(request)),
            "modules": modules(),
            "page_settings": {**PAGE_SETTINGS, "default_range": default_range()},
            "ranges": button_ranges(),
            "series_charts": SERIES_CHARTS,
        },
        request=request,
    )
    response = Response.html(html, headers=dict(HEADERS))
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie("lang", request.args["lang"], max_age=YEAR_SECONDS, samesite="lax")
    return response


@cache
def modules() -> list[str]:
    """Return the file names of the page's scripts, which the browser loads at once."""
    return sorted(file.name for file in (Path(__file__).parent / "static").glob("*.js"))


def data_query(request: Any) -> str:
    """Return the query string of the data that a page's address shows."""
    parameters = {name: request.args[name] for name in PARAMETERS if request.args.get(name)}
    return f"?{urlencode(parameters)}" if parameters else ""


def costs(settings: Settings) -> dict[str, Any]:
    """Return how costs are shown: the currency, and the name and date of the price list."""
    return {
        "currency": settings.currency,
        "currency_rate": settings.currency_rate,
        "price_list": price_list(settings.data_folder),
    }


async def data(request: Any, datasette: Any) -> Response:
    """Serve the page's data, computed once a second for all browsers with the same address."""
    await require_permission(request, datasette)
    parameters = {name: request.args[name] for name in request.args}
    settings, language = read_live(), language_of(request)
    question = parse(parameters)._replace(
        language="" if language == settings.language else language
    )
    is_masked = parameters.get("mask") == "1"
    database, shown = datasette.get_database("ledger"), costs(settings)

    limit_ms = datasette.setting("sql_time_limit_ms")

    async def compute() -> bytes:
        return await database.execute_fn(
            lambda conn: snapshot(conn, question, shown, is_masked=is_masked, limit_ms=limit_ms)
        )

    try:
        body = await flights.get((question, is_masked, tuple(shown.values())), compute)
    except sqlite3.OperationalError as error:
        return Response.json({"error": str(error)}, status=503, headers=dict(HEADERS))
    return Response(body, content_type="application/json; charset=utf-8", headers=dict(HEADERS))


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register the page in place of Datasette's own index."""
    return [(r"^/$", page), (r"^/-/page\.json$", data)]
