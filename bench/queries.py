"""Queries through the dashboard's server: which, how long each takes, with how many events."""

import http.client
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bench.ledgers import Feed, copied
from bench.plan import Plan
from bench.processes import Client, live
from bench.report import Figure, Part, Section, at_most, number, percentile, progress
from bench.workload import ACCOUNTS, CLIENTS, DAY, MODELS, Workload, even
from ledger.queries import queries


class Group(NamedTuple):
    """Requests with a common limit for their p99, in ms; None for no limit."""

    name: str
    limit: float | None


SELECT_1 = Group("a request for `select 1`", None)
CANNED = Group("canned queries, 30 days", 50)
LATENCY = Group("latency percentiles, 30 days", 20)
LATENCY_BY_MODEL = Group("latency percentiles by model, 30 days", 150)
FILTERED = Group("served filters, 30 days", 100)
LONG = Group("90 days by account", 100)
EDGES = Group("a burst at the window's edge", 100)
EDGE_PAIRS = Group("filters with such a burst", None)

# It recounts every event: on a large ledger it is for the command line.
NOT_SERVED = {"integrity"}
GROUPS = {"latency": LATENCY, "model_latency": LATENCY_BY_MODEL}
FILTERS = {
    "accounts": ("model",),
    "models": ("account", "client"),
    "hours": ("account", "model", "client"),
    "days": ("account", "model", "client"),
    "summary": ("account", "model", "client"),
}
EDGE_QUERIES = ("summary", "accounts", "models", "hours")
PAIRS = (("accounts", "model"), ("models", "account"), ("models", "client"))
EDGE_WINDOWS = ("1h", "24h", "30d")
NAMES = {
    "account": ACCOUNTS,
    "model": MODELS,
    "client": [f"…{key[-4:]}" for key in CLIENTS],
}
# Prime to the length of each list, so that every name is used.
STRIDE = 7
# A slow request is repeated less often, so that a run ends.
MAX_REQUEST_MS, MIN_SAMPLES = 20_000.0, 20
GROWTH_LIMIT = 2.0
HOUR, QUARTER = 3600, 900
# From the storing of the bursts to the queries; the windows move during that time.
BUILDING_SECONDS = 120.0
COLUMNS = ["request", "p50 ms", "p95 ms", "p99 ms", "limit ms"]
WHY_SERVED = (
    "`select 1` is the cost of any request before its query; the rest is SQL over rollup rows, and "
    "writing rows as JSON."
)
WHY_EDGES = (
    "Windows start at a whole minute, from 7d on at a whole hour, and buckets of that resolution "
    "are stored for each account, model and client: a burst there adds rollup rows, not single "
    "events. Pairs are stored by the hour, so a filter reads the events of the first partial hour."
)


class Request(NamedTuple):
    """A request; the parameters in `varied` get another name each time."""

    title: str
    query: str
    group: Group
    parameters: dict[str, str]
    varied: tuple[str, ...] = ()

    def path(self, turn: int) -> str:
        """Return the path and query string of the n-th request."""
        names = {kind: NAMES[kind][turn * STRIDE % len(NAMES[kind])] for kind in self.varied}
        encoded = urlencode({**self.parameters, **names, "_shape": "array"})
        return f"/ledger{self.query and '/'}{self.query}.json?{encoded}"


class Times(NamedTuple):
    """The milliseconds of one request, each time, and how often it was refused."""

    request: Request
    milliseconds: list[float]
    refused: int

    def p(self, percent: float) -> float:
        """Return a percentile in ms."""
        return percentile(self.milliseconds, percent)


def served() -> list[Request]:
    """Return every canned query over 30 days, the served filters, 90 days and a custom range."""
    select_1 = Request("select 1", "", SELECT_1, {"sql": "select 1"})
    return [select_1, *canned(), *filtered(), over_window("accounts", "90d", LONG)]


def canned() -> list[Request]:
    """Return each query of `metadata.yml` that a page may use."""
    names = [name for name in queries() if name not in NOT_SERVED]
    return [over_window(name, "30d", GROUPS.get(name, CANNED)) for name in names]


def over_window(name: str, window: str, group: Group) -> Request:
    """Return a query over a window, with the parameters that it needs."""
    accepted = queries()[name].parameters
    possible = {"window": window, "limit": "50"}
    parameters = {key: text for key, text in possible.items() if key in accepted}
    title = f"{name}, {window}" if "window" in parameters else name
    varied = ("account",) if name == "account_latency" else ()
    return Request(title, name, group, parameters, varied)


def filtered() -> list[Request]:
    """Return the filters that rollups answer, and 30 local days by their dates."""
    last = date.today() - timedelta(days=1)
    days = {"from": str(last - timedelta(days=29)), "to": str(last)}
    return [
        *(
            Request(f"{name} by {kind}, 30d", name, FILTERED, {"window": "30d"}, (kind,))
            for name, kinds in FILTERS.items()
            for kind in kinds
        ),
        Request("accounts, 30 named days", "accounts", FILTERED, days),
    ]


def at_edges() -> list[Request]:
    """Return the queries of the windows whose edges are in a burst, and filters by pairs."""
    alone = [over_window(name, window, EDGES) for window in EDGE_WINDOWS for name in EDGE_QUERIES]
    pairs = [
        Request(f"{name} by {kind}, {window}", name, EDGE_PAIRS, {"window": window}, (kind,))
        for window in EDGE_WINDOWS
        for name, kind in PAIRS
    ]
    return alone + pairs


def timed(client: Client, requests: list[Request], *, samples: int) -> list[Times]:
    """Time all requests in turn, `samples` times, so that a disturbance affects all alike."""
    milliseconds: dict[str, list[float]] = {request.title: [] for request in requests}
    refused: Counter[str] = Counter()
    for request in requests:
        # The first answers fill the caches of pages and statements.
        client.get(request.path(0))
    with progress("queries through HTTP", samples * len(requests)) as bar:
        for turn in range(samples):
            for request in requests:
                bar.update()
                spent = milliseconds[request.title]
                if turn >= MIN_SAMPLES and sum(spent) > MAX_REQUEST_MS:
                    continue
                elapsed, status = client.get(request.path(turn))
                spent.append(elapsed)
                refused[request.title] += status != http.client.OK
    return [Times(one, milliseconds[one.title], refused[one.title]) for one in requests]


def by_group(times: list[Times]) -> list[Figure]:
    """Return a figure for each group of requests: the highest p99 in it."""
    slowest: dict[str, Times] = {}
    for one in sorted(times, key=lambda one: one.p(99)):
        slowest[one.request.group.name] = one
    return [
        at_most(f"p99 of {name} ({one.request.title})", one.p(99), one.request.group.limit, "ms")
        for name, one in slowest.items()
    ]


def times_table(title: str, times: list[Times], why: str) -> Section:
    """Return the table of all requests; `why` is a sentence on what decides the times."""
    rows = [
        [
            one.request.title,
            *(number(one.p(percent)) for percent in (50, 95, 99)),
            number(one.request.group.limit) if one.request.group.limit else "",
        ]
        for one in times
    ]
    sentences = [
        f"Each request {len(times[0].milliseconds)} times in turn, a slow one less often, by one "
        "client over HTTP, as JSON with every row, from the real server, while the real collector "
        "stores the events of the fake proxy. The names in filters change with each request; the "
        "server caches no answer.",
        why,
    ]
    if refused := [f"{one.request.title} ({one.refused})" for one in times if one.refused]:
        sentences.append(f"Refused, and not answered: {', '.join(refused)}.")
    return Section(title, sentences, COLUMNS, rows)


def time_other_size(home: Path, plan: Plan) -> list[Times]:
    """Time all requests on a ledger of another size, with fewer samples."""
    with live(home, plan.rate) as system:
        return timed(system.client, served(), samples=max(plan.samples // 4, 2))


def compare_sizes(by_size: dict[int, list[Times]]) -> Part:
    """Compare the medians by size; the figure is the request that grows most."""
    sizes = sorted(by_size)
    p50 = {size: {one.request.title: one.p(50) for one in by_size[size]} for size in sizes}
    smallest, largest = p50[sizes[0]], p50[sizes[-1]]
    growth = {title: largest[title] / smallest[title] for title in smallest}
    most = max(growth, key=lambda title: growth[title])
    rows = [
        [title, *(number(p50[size][title]) for size in sizes), f"{ratio:.2f}"]
        for title, ratio in growth.items()
    ]
    sentences = [
        "p50 through HTTP with the same traffic on each ledger. A query reads rollup rows; their "
        "number grows with accounts, models, clients and hours, and no longer with events once "
        "each bucket has all of its accounts or models.",
    ]
    columns = ["request", *(f"{size:,} events, ms" for size in sizes), "ratio"]
    name = f"p50 from {sizes[0]:,} to {sizes[-1]:,} events, highest growth ({most})"
    return Part(
        [at_most(name, growth[most], GROWTH_LIMIT, "×")],
        [Section("Growth", sentences, columns, rows)],
    )


def measure_edges(home: Path, plan: Plan) -> Part:
    """Store a burst around the start of each window, then time queries while events arrive."""
    with copied(home) as folder:
        store_bursts(folder, plan)
        with live(folder, plan.rate) as system:
            times = timed(system.client, at_edges(), samples=plan.samples)
    title = f"A quarter hour of {plan.burst:,} events around the start of each window"
    return Part(by_group(times), [times_table(title, times, WHY_EDGES)])


def store_bursts(folder: Path, plan: Plan) -> None:
    """Store a burst of a quarter hour around the start of each window."""
    starts = window_starts(time.time() + BUILDING_SECONDS)
    total = plan.burst * len(starts)
    with Feed(folder, unsafe=True) as feed, progress("bursts", total) as bar:
        for seed, start in enumerate(starts, start=100):
            moments = even(plan.burst, start - QUARTER / 2, start + QUARTER / 2)
            for stored in feed.store_all(Workload(seed), moments):
                bar.update(stored)


def window_starts(now: float) -> list[float]:
    """Return the starts of the windows of 1 hour, 24 hours and 30 days."""
    return [now - HOUR, now - DAY, (now - 30 * DAY) // HOUR * HOUR]
