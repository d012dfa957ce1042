"""The canned queries that the dashboard's address asks for, answered from one snapshot."""

import sqlite3
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import msgspec
from datasette.utils import sqlite_timelimit

from ledger.queries import queries, windows
from plugins.masking import Mask, private_names

MAX_HOURLY_DAYS = 8
REQUESTS_SHOWN = 25
PARAMETERS = (
    *("range", "from", "to", "account", "model", "client", "proxy", "by"),
    *("failed", "request_id", "before", "mask"),
)
# Lists of which the page shows only the first rows until the user opens them.
LISTS = frozenset({"usable", "accounts", "models", "clients"})
ROWS_SHOWN = 10
ACCOUNTS_SHOWN = 8
ALERTS_OVER = 3
# The charts below the large one; each is named as its part of the page.
SERIES_CHARTS = ("failure_series", "latency_series")

# Filters that not every rollup has; all of them have the proxy.
NARROW = ("account", "model", "client")

Part = tuple[str, dict[str, str]]


class Question(NamedTuple):
    """The page's address, validated: a named window, or local days from `first` to `last`.

    The language is empty where it is that of the settings.
    """

    window: str
    first: str
    last: str
    account: str
    model: str
    client: str
    proxy: str
    by: str
    failed: str
    request_id: str
    before: str
    language: str
    opened: frozenset[str]

    @property
    def range(self) -> dict[str, str]:
        """The parameters that name the range."""
        return {"from": self.first, "to": self.last} if self.first else {"window": self.window}

    @property
    def range_before(self) -> dict[str, str]:
        """The parameters that name the equally long range before it."""
        if not self.first:
            return {"from": f"before {self.window}"}
        first = date.fromisoformat(self.first)
        days = timedelta(days=self.days)
        return {"from": str(first - days), "to": str(first - timedelta(days=1))}

    @property
    def days(self) -> int:
        """The number of days of a custom range."""
        return (date.fromisoformat(self.last) - date.fromisoformat(self.first)).days + 1

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set."""
        filters = {"account": self.account, "model": self.model, "client": self.client}
        return without_empty({**filters, "proxy": self.proxy})


class Section(msgspec.Struct):
    """The answer of a canned query; `count` is its length before it was shortened."""

    query: str
    parameters: dict[str, str] | None
    columns: list[str]
    rows: list[tuple[Any, ...]]
    count: int


Sections = dict[str, Section | None]


def button_ranges() -> tuple[str, ...]:
    """Return the windows that have a button: all but the longest, which an address can name."""
    return tuple(windows())[:-1]


def default_range() -> str:
    """Return the window that the page shows when its address names none."""
    return next(name for name, window in windows().items() if window.is_default)


def parse(parameters: Mapping[str, str]) -> Question:
    """Parse the address's parameters; a malformed one is ignored."""
    first, last = parse_day(parameters.get("from", "")), parse_day(parameters.get("to", ""))
    last = last or first
    if last < first:
        first, last = last, first
    window, before = parameters.get("range", ""), parameters.get("before", "")
    return Question(
        window=window if window in windows() else default_range(),
        first=first,
        last=last if first else "",
        **{name: parameters.get(name, "") for name in (*NARROW, "proxy", "request_id")},
        by="account" if parameters.get("by") == "account" else "model",
        failed="1" if parameters.get("failed") == "1" else "",
        before=before if before.isdecimal() else "",
        language="",
        opened=frozenset(parameters.get("open", "").split(",")) & LISTS,
    )


def parse_day(text: str) -> str:
    """Return a day as YYYY-MM-DD; empty when the text is not one."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def step(question: Question, *, coarse: bool = False) -> dict[str, str]:
    """Return the parameter that names the step of a series.

    A coarse step is for series that are slow by the hour, or too small to be seen.
    """
    if question.first:
        return {"step": "hour" if question.days <= MAX_HOURLY_DAYS else "day"}
    window = windows()[question.window]
    return {"step": window.coarse_step if coarse else window.chart_step}


def only(filters: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the filters of those names."""
    return {name: value for name, value in filters.items() if name in names}


def without_empty(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that have a value."""
    return {name: value for name, value in parameters.items() if value}


def over_time(question: Question) -> Part:
    """Return the series of the large chart; with some filters there is nothing to stack by."""
    parameters = {**question.range, **step(question), **question.filters}
    if question.by == "account" and not only(question.filters, *NARROW):
        return "account_series", parameters
    if question.by == "model" and not only(question.filters, "model", "client"):
        return "model_series", parameters
    return "series", parameters


def latencies(question: Question) -> dict[str, Part]:
    """Return the sources of percentiles; for some filters there are none."""
    now = {**question.range, **question.filters}
    before = {**question.range_before, **question.filters}
    narrow = set(only(question.filters, *NARROW))
    if not narrow:
        return {
            "latency": ("latency", now),
            "latency_before": ("latency", before) if question.first else ("latency_before", now),
            "latency_series": ("latency_series", {**now, **step(question, coarse=True)}),
        }
    if narrow == {"account"}:
        return {
            "latency": ("account_latency", now),
            "latency_before": ("account_latency", before),
        }
    return {}


def parts(question: Question) -> dict[str, Part]:
    """Return the canned query and its parameters for each part of the page."""
    now, before, filters = question.range, question.range_before, question.filters
    proxy = only(filters, "proxy")
    language = without_empty({"language": question.language})
    requests = {"failed": question.failed, "request_id": question.request_id}
    requests |= {"before": question.before, "limit": str(REQUESTS_SHOWN + 1)}
    return {
        "ledger_info": ("ledger_info", {}),
        "range": ("range", now),
        "range_before": ("range", before),
        "summary": ("summary", {**now, **filters}),
        "summary_before": ("summary", {**before, **filters}),
        **latencies(question),
        "accounts": ("accounts", {**now, **only(filters, "model", "client", "proxy")}),
        "models": ("models", {**now, **only(filters, "account", "client", "proxy")}),
        "clients": ("clients", {**now, **only(filters, "account", "model", "proxy")}),
        "over_time": over_time(question),
        "failure_series": ("failure_series", {**now, **step(question, coarse=True), **filters}),
        "requests": ("requests", without_empty({**filters, **requests})),
        "filter_options": ("filter_options", {}),
        "state": ("state", language),
        "gaps": ("gap_list", proxy),
        "alerts": ("alert_history", {"state": "open", **language}),
        "alerts_over": ("alert_history", {"state": "over", "limit": str(ALERTS_OVER), **language}),
        "budgets": ("budget_use", {}),
        "usable": ("usable_accounts", proxy),
        "quota": ("quota", proxy),
        "forecast": ("forecast_summary", proxy),
        "usable_share": ("usable_share", proxy),
        "quota_errors": ("quota_errors", proxy),
        "refreshes": ("quota_refreshes", {}),
    }


def snapshot(
    conn: sqlite3.Connection,
    question: Question,
    costs: Mapping[str, Any],
    *,
    is_masked: bool,
    limit_ms: int,
) -> bytes:
    """Return every part of the page, read from one state of the ledger, as JSON.

    `costs` is how they are shown, see `dashboard.costs`.

    Raises `sqlite3.OperationalError` ("interrupted") when it takes longer than the limit.
    """
    conn.execute("begin")
    try:
        with sqlite_timelimit(conn, limit_ms):
            mask = Mask(private_names(conn) if is_masked else ())
            question = unmasked(question, mask)
            sections = {name: read(conn, part) for name, part in parts(question).items()}
    finally:
        conn.rollback()
    shorten(sections, LISTS - question.opened)
    if is_masked:
        for section in filter(None, sections.values()):
            hide_names(section, mask)
    return msgspec.json.encode({"sections": sections, "costs": costs})


def unmasked(question: Question, mask: Mask) -> Question:
    """Return a question with the names of its account and client in place of their masks."""
    return question._replace(account=mask.name(question.account), client=mask.name(question.client))


def read(conn: sqlite3.Connection, part: Part) -> Section | None:
    """Read one canned query; None when the ledger has no such query or table."""
    name, parameters = part
    query = queries().get(name)
    if query is None:
        return None
    try:
        cursor = conn.execute(query.sql, {**dict.fromkeys(query.parameters, ""), **parameters})
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    rows = [tuple(row) for row in cursor]
    columns = [column[0] for column in cursor.description]
    return Section(name, parameters, columns, rows, len(rows))


def shorten(sections: Sections, closed: frozenset[str]) -> None:
    """Shorten the closed lists to their first rows, and the quotas to the accounts that remain."""
    for name in closed - {"usable"}:
        if section := sections[name]:
            section.rows = section.rows[:ROWS_SHOWN]
    # An account has one row for each group of models with limits of its own.
    accounts = list(dict.fromkeys(values(sections["usable"], "account_id")))
    if section := sections["usable"]:
        section.count = len(accounts)
    shown = set(accounts[:ACCOUNTS_SHOWN] if "usable" in closed else accounts)
    for name in ("usable", "quota", "forecast", "usable_share"):
        if section := sections[name]:
            pairs = zip(section.rows, values(section, "account_id"), strict=True)
            section.rows = [row for row, account in pairs if account in shown]


def values(section: Section | None, column: str) -> list[Any]:
    """Return one column of a section; empty when it is missing."""
    if section is None or column not in section.columns:
        return []
    index = section.columns.index(column)
    return [row[index] for row in section.rows]


def hide_names(section: Section, mask: Mask) -> None:
    """Mask a section. A query by a mask would find nothing, so the page gets no link to it."""
    parameters = section.parameters or {}
    if "account" in parameters or parameters.get("client") in mask.by_name:
        section.parameters = None
    section.rows = [tuple(map(mask.cell, section.columns, row)) for row in section.rows]
