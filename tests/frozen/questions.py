"""What a recording asks: every canned query, page, report and export with many parameters."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from typing import Any

from tests.frozen import program

Question = dict[str, Any]
Parameters = dict[str, str]

WINDOWS = ("today", "1h", "5h", "24h", "7d", "30d", "90d")
STEPS = ("minute", "quarter hour", "hour", "day")
# Raw events are kept from 2026-10-01 on; clocks change on 2026-03-29 and 2026-10-25.
DAYS = (
    ("2026-11-18", "2026-11-18"),
    ("2026-11-20", "2026-11-20"),
    ("2026-10-25", "2026-10-25"),
    ("2026-10-20", "2026-10-28"),
    ("2026-11-01", ""),
    ("2026-09-20", "2026-10-10"),
    ("2026-08-05", "2026-08-05"),
    ("2026-07-01", "2026-08-31"),
    ("2026-03-27", "2026-04-02"),
    ("2026-12-01", "2026-12-31"),
    ("2026-11-18", "2026-11-10"),
)
FILTERS = ("account", "model", "client", "proxy")
COMBINATIONS = (
    ("account",),
    ("model",),
    ("client",),
    ("proxy",),
    ("account", "proxy"),
    ("account", "model"),
    ("account", "client"),
    ("model", "client"),
    ("model", "proxy"),
    ("client", "proxy"),
    ("account", "model", "client"),
    ("account", "model", "client", "proxy"),
)
MOST_USED = """
  select account, model, client, proxy
  from recent_requests
  where client <> '(none)'
  group by account, model, client, proxy
  order by count(*) desc, account, model, client, proxy
"""
SINGLE: dict[str, tuple[str, ...]] = {
    "usable": ("yes", "no", "unknown"),
    "outcome": ("runs_out", "lasts", "none", "exhausted"),
    "days": ("1", "30"),
    "window_id": ("1", "2"),
    "provider": ("codex", "claude", "kimi", "xai", "antigravity"),
    "run": ("all",),
    "reason": ("not JSON", "timestamp: not a time"),
    "failed": ("0", "1"),
    "limit": ("3", "250"),
    "before": ("150",),
    "rule": ("runs_out", "unpriced", "failures"),
    "state": ("open", "over"),
    "month": ("2026-10", "2026-11", "2026-05", "2030-01"),
    "price": ("200", "19.99"),
    "by": ("tokens",),
}


class Names:
    """Values of the filters, from the ledger: often used ones, rare ones, and unknown ones."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        rows = conn.execute(MOST_USED).fetchall()
        self.used = [
            dict(zip(FILTERS, row, strict=True)) for row in (rows[0], rows[len(rows) // 2])
        ]
        by_name = {name: sorted({row[place] for row in rows}) for place, name in enumerate(FILTERS)}
        (self.request_id,) = conn.execute(
            "select request_id from usage_events where request_id <> '' order by id desc limit 1"
        ).fetchone()
        self.all = {name: [*values, "nobody"] for name, values in by_name.items()}

    def filters(self, accepted: list[str]) -> Iterator[Parameters]:
        """Yield sensible combinations of the filters that a query knows."""
        for number, names in enumerate(COMBINATIONS):
            if set(names) <= set(accepted):
                for used in self.used[: 2 if number < 6 else 1]:
                    yield {name: used[name] for name in names}


def questions(conn: sqlite3.Connection) -> list[Question]:
    """Return everything that a recording of a ledger asks, in a fixed order."""
    names = Names(conn)
    return [
        *(
            {"kind": "query", "name": name, "parameters": parameters}
            for name, sql in program.queries().items()
            for parameters in of_query(program.parameters(sql), names)
        ),
        *({"kind": "page", "parameters": parameters} for parameters in pages(names)),
        *({"kind": "api", "path": path} for path in api()),
        *({"kind": "served", "name": name} for name in program.queries()),
        *(
            {"kind": "export", "name": name, "parameters": parameters}
            for name, parameters in exports(names)
        ),
        *(
            {"kind": "command", "name": name, "arguments": list(words)}
            for name, *words in commands()
        ),
        {"kind": "metrics"},
    ]


def of_query(accepted: list[str], names: Names) -> Iterator[Parameters]:
    """Yield the parameters to ask a query with; those that it leaves out are empty."""
    yield {}
    if "window" in accepted:
        yield from of_range(accepted, names)
    for name in FILTERS:
        if name in accepted:
            yield from ({name: value} for value in names.all[name])
    if "window" not in accepted:
        yield from names.filters(accepted)
    for name, values in SINGLE.items():
        if name in accepted:
            yield from ({name: value} for value in values)
    if "request_id" in accepted:
        yield {"request_id": names.request_id}
        yield {**names.used[0], "failed": "0", "limit": "20"}
    if "price" in accepted:
        for month, by in product(("2026-06", "2026-10", ""), ("cost", "tokens")):
            yield {"month": month, "price": "219.99", "by": by, "proxy": ""}
            yield {"month": month, "price": "0", "by": by, "proxy": names.used[0]["proxy"]}


def of_range(accepted: list[str], names: Names) -> Iterator[Parameters]:
    """Yield every range, without filters and with each of them."""
    ranges: list[Parameters] = [{"window": window} for window in WINDOWS]
    steps = [{"step": step} for step in STEPS] if "step" in accepted else [{}]
    customs: list[Parameters] = []
    if "from" in accepted:
        customs = [{"from": first, "to": last} for first, last in DAYS]
        ranges += customs
        yield from ({"from": f"before {window}"} for window in WINDOWS)
    for parameters, step in product(ranges, steps):
        if not ("from" in parameters and step.get("step") == "minute"):
            yield {**parameters, **step}
    filters = list(names.filters(accepted))
    for number, window in enumerate(WINDOWS):
        for filtered in filters:
            yield {"window": window, **filtered, **steps[number % len(steps)]}
    for number, parameters in enumerate(customs):
        # A part of the filters each, and all of them over all ranges.
        for filtered in filters[number % 3 :: 3]:
            yield {**parameters, **filtered, **({"step": "day"} if steps != [{}] else {})}
    if "from" in accepted:
        yield from ({"from": "before 7d", **filtered} for filtered in filters[::2])


def pages(names: Names) -> Iterator[Parameters]:
    """Yield addresses of the dashboard."""
    used = names.used[0]
    for window in WINDOWS:
        yield {"range": window}
        yield {"range": window, "by": "account"}
    for window, name in product(("24h", "30d"), FILTERS):
        yield {"range": window, name: used[name]}
    yield {"range": "7d", "account": used["account"], "model": used["model"]}
    yield {"range": "7d", "by": "account", "proxy": used["proxy"]}
    yield {"range": "90d", **used}
    for first, last in DAYS:
        yield {"from": first, "to": last}
    yield {"from": DAYS[3][0], "to": DAYS[3][1], "account": used["account"]}
    yield {"failed": "1"}
    yield {"request_id": names.request_id}
    yield {"before": "150", "range": "7d"}
    yield {"open": "usable,accounts,models,clients", "range": "90d"}
    yield {"mask": "1", "range": "7d"}
    yield {"mask": "1", "range": "30d", "account": used["account"]}
    yield {"range": "never", "from": "2026-13-01", "before": "x", "by": "z", "open": "q"}


def api() -> Iterator[str]:
    """Yield paths of the original script's API."""
    yield from ("/api/health", "/api/quota", "/api/requests", "/api/requests?limit=7", "/api/none")
    yield from (f"/api/summary?range={window}" for window in (*WINDOWS, "never"))


def exports(names: Names) -> Iterator[tuple[str, Parameters]]:
    """Yield names of exports with their parameters."""
    used = names.used[0]
    for name in ("window", *FILTERS):
        yield "events", {"window": "30d", **({name: used[name]} if name in FILTERS else {})}
    yield "events", {"window": "7d", "failed": "1"}
    yield "events", {"from": DAYS[3][0], "to": DAYS[3][1]}
    for view in ("totals", "accounts", "models", "clients", "proxies", "hours", "days", "failures"):
        yield f"{view}_by_window", {"window": "7d"}
    for view in ("collection_gaps", "account_quotas", "quota_window_states", "worker_states"):
        yield view, {}


def commands() -> Iterator[tuple[str, ...]]:
    """Yield command lines."""
    for window in WINDOWS:
        yield "report", window
        yield "report", window, "--format", "json"
        for by in ("account", "model", "client", "proxy", "day"):
            yield "report", window, "--by", by, "--format", "csv"
    yield "report", "7d", "--format", "markdown"
    yield "report", "30d", "--by", "day", "--format", "json"
    yield "report", "30d", "--by", "model"
    for form in ("table", "markdown", "json", "csv"):
        yield "report", "month", "--format", form
        yield "report", "month", "2026-10", "--price", "200", "--format", form
        yield "report", "month", "2026-06", "--price", "99.5", "--share", "tokens", "--format", form
    yield "report", "month", "2040-01"
    yield ("status",)
    yield "status", "--json"
    yield "status", "--check"
    yield "status", "--format", "{tokens} {cost} {best} {left}"
    yield ("check",)
