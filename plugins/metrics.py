"""`/metrics`: counters and gauges for Prometheus, read from the ledger in one snapshot."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from datasette import Response, hookimpl
from datasette.utils import sqlite_timelimit
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.registry import Collector

from ledger.settings import read_live
from plugins.cache import SingleFlight, StaleWhileRevalidate
from plugins.security import require_permission

PREFIX = "cliproxy_ledger_"
CACHE_SECONDS = 1.0

USAGE = "select * from usage_lifetime_totals"
COLLECTION = """
  select
    proxy,
    received,
    stored,
    duplicate,
    rejected,
    gaps,
    batches_at_risk,
    last_pop_at / 1000.0 as last_pop
  from collection_lifetime_totals
"""
MISSING = """
  select
    proxies.name                as proxy,
    coalesce(maybe_missing, 0)  as maybe_missing
  from proxies
  left join (
    select
      proxy               as proxy,
      sum(maybe_missing)  as maybe_missing
    from gap_estimates
    group by proxy
  ) as estimates on estimates.proxy = proxies.name
"""
WORKERS = """
  select
    role                      as kind,
    coalesce(proxy, '')       as proxy,
    max(state = 'working')    as is_up,
    max(beat_at) / 1000.0     as beat
  from worker_states
  group by 1, 2
"""
ACCOUNTS = "select provider, state, accounts from account_counts"
# Accounts may share a name, and limits a label: the lowest value counts.
QUOTAS = """
  select
    provider                                              as provider,
    account                                               as account,
    label                                                 as window,
    min(left_percent) / 100.0                             as left_over,
    min(iif(started is not 0, resets_at, null)) / 1000.0  as resets
  from quota_window_states
  where not rolled_over
  group by 1, 2, 3
"""
# Every code has a sample, so that an alarm can be set.
PROBLEMS = """
  select
    problem_codes.code      as code,
    problem_codes.severity  as severity,
    count(problems.code)    as problems
  from problem_codes
  left join problems on problems.code = problem_codes.code
  group by 1, 2
"""
ALERTS = """
  select
    rules.rule        as rule,
    count(alerts.id)  as open
  from (
    select rule from alert_rules where enabled
    union
    select rule from alerts where ended_at is null
  ) as rules
  left join alerts on alerts.rule = rules.rule and alerts.ended_at is null
  group by 1
"""
LEDGER = """
  select
    (select max(occurred_at) from usage_events) / 1000.0                    as last_event,
    last_event_id >= (select coalesce(max(id), 0) from usage_events)        as is_whole
  from rollup_state
"""

Family = CounterMetricFamily | GaugeMetricFamily


class Metric(NamedTuple):
    """A counter or gauge; the label `column_label` distinguishes several columns."""

    name: str
    help: str
    columns: dict[str, str]
    column_label: str = ""

    @property
    def is_counter(self) -> bool:
        """Whether it never decreases."""
        return self.name.endswith("_total")


class Source(NamedTuple):
    """A query whose first columns are labels, and the metrics of its other columns."""

    sql: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]


def single(name: str, help: str, column: str) -> Metric:
    """Return a metric of a single column."""
    return Metric(name, help, {"": column})


TOKENS = ("input", "cached", "cache_write", "output", "reasoning", "unclassified")
SOURCES = (
    Source(
        USAGE,
        ("proxy", "model"),
        (
            single("requests_total", "Upstream attempts.", "requests"),
            single("failures_total", "Failed upstream attempts.", "failed"),
            Metric(
                "tokens_total",
                "Tokens; the kinds do not overlap: their sum is the total.",
                {kind: f"{kind}_tokens" for kind in TOKENS},
                "kind",
            ),
            single(
                "cost_dollars",
                "Cost at list price; repricing may lower it.",
                "cost_dollars",
            ),
            single("unpriced_requests", "Requests without a known price.", "unpriced"),
        ),
    ),
    Source(
        COLLECTION,
        ("proxy",),
        (
            single("records_received_total", "Records taken from the queue.", "received"),
            Metric(
                "records_total",
                "Records by outcome; their sum is the number received.",
                {state: state for state in ("stored", "duplicate", "rejected")},
                "state",
            ),
            single("gaps_total", "Periods without a working collector.", "gaps"),
            single(
                "batches_at_risk_total",
                "Batches popped but never written to disk.",
                "batches_at_risk",
            ),
            single(
                "last_pop_timestamp_seconds", "Time of the last pop from the queue.", "last_pop"
            ),
        ),
    ),
    Source(
        WORKERS,
        ("kind", "proxy"),
        (
            single("worker_up", "1 while a worker reports that it is working.", "is_up"),
            single("worker_beat_timestamp_seconds", "Time of a worker's last heartbeat.", "beat"),
        ),
    ),
    Source(
        PROBLEMS,
        ("code", "severity"),
        (single("problems", "Problems that there are now, by code.", "problems"),),
    ),
    Source(
        ALERTS,
        ("rule",),
        (single("alerts_open", "Open alerts, by rule.", "open"),),
    ),
    Source(
        LEDGER,
        (),
        (
            single("last_event_timestamp_seconds", "Time of the newest event.", "last_event"),
            single(
                "rollups_complete",
                "0 while sums are recomputed and counters of usage are left out.",
                "is_whole",
            ),
        ),
    ),
)
# Too slow for a scrape: computed between scrapes.
ACCOUNT_SOURCES = {
    "accounts": Source(
        ACCOUNTS,
        ("provider", "state"),
        (single("accounts", "Accounts by their current state.", "accounts"),),
    ),
    "quotas": Source(
        QUOTAS,
        ("provider", "account", "window"),
        (
            single("quota_left_ratio", "Share of a limit that is left, from 0 to 1.", "left_over"),
            single("quota_reset_timestamp_seconds", "Time at which a limit resets.", "resets"),
        ),
    ),
}
GAP_SOURCE = Source(
    MISSING,
    ("proxy",),
    (
        single(
            "events_maybe_missing",
            "Estimate of the missing events, from the rates around the gaps.",
            "maybe_missing",
        ),
    ),
)
FILE_BYTES = Metric("file_bytes", "Size of the ledger's file and of its log.", {}, "kind")


class Format(NamedTuple):
    """An exposition format: its encoder, and the bytes that end a response."""

    encode: Callable[[CollectorRegistry], bytes]
    content_type: str
    end: bytes


class Part(Collector):
    """The families of some sources at one instant, encoded once for each format."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families
        self._texts: dict[str, bytes] = {}

    def collect(self) -> Iterator[Family]:
        """Return every family."""
        return iter(self._families)

    def text(self, form: Format) -> bytes:
        """Return the families in a format."""
        if form.content_type not in self._texts:
            registry = CollectorRegistry()
            registry.register(self)
            self._texts[form.content_type] = form.encode(registry).removesuffix(form.end)
        return self._texts[form.content_type]


flights: SingleFlight[Part] = SingleFlight(CACHE_SECONDS)
gaps: StaleWhileRevalidate[Part] = StaleWhileRevalidate(fresh_seconds=60, stale_seconds=600)


def families(conn: sqlite3.Connection, sources: Iterable[Source]) -> Iterator[Family]:
    """Read each source's metrics."""
    for source in sources:
        cursor = conn.execute(source.sql)
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor]
        for metric in source.metrics:
            yield filled_family(metric, source.labels, rows)


def filled_family(metric: Metric, labels: tuple[str, ...], rows: list[dict[str, Any]]) -> Family:
    """Return a metric with its samples; an unknown value has none."""
    family = empty_family(metric, labels)
    for row in rows:
        for column_label, column in metric.columns.items():
            values = [str(row[label]) for label in labels]
            values += [column_label] if metric.column_label else []
            if row[column] is not None:
                family.add_metric(values, row[column])
    return family


def empty_family(metric: Metric, labels: tuple[str, ...] = ()) -> Family:
    """Return a metric without samples."""
    kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
    column_label = (metric.column_label,) if metric.column_label else ()
    return kind(PREFIX + metric.name, metric.help, labels=(*labels, *column_label))


def format_for(accept: str) -> Format:
    """Return the format that an Accept header prefers."""
    encode, content_type = choose_encoder(accept)
    if isinstance(encode, partial):
        # Our names need no escaping: searching them for such characters takes as long as the rest.
        encode = partial(encode, escaping=ALLOWUTF8)
    return Format(encode, content_type, encode(CollectorRegistry()))


def respond(parts: Sequence[Part], form: Format) -> Response:
    """Return the parts as one response."""
    body = b"".join(part.text(form) for part in parts) + form.end
    return Response(body, content_type=form.content_type)


def read(
    conn: sqlite3.Connection, sources: Sequence[Source], form: Format, *, limit_ms: int
) -> Part:
    """Read sources from one state of the ledger, and encode them.

    Raises `sqlite3.OperationalError` ("interrupted") when it takes longer than the limit.
    """
    conn.execute("begin")
    try:
        with sqlite_timelimit(conn, limit_ms):
            part = Part(list(families(conn, sources)))
    finally:
        conn.rollback()
    part.text(form)
    return part


def account_sources() -> list[Source]:
    """Return the sources about accounts: without single accounts where the settings say so."""
    hidden = {"quotas"} if read_live().metrics_accounts == "off" else set()
    return [source for name, source in ACCOUNT_SOURCES.items() if name not in hidden]


def file_sizes(file: Path) -> Part:
    """Return the sizes of the ledger's file and of its write-ahead log."""
    family = empty_family(FILE_BYTES)
    family.add_metric(["database"], file.stat().st_size)
    log = file.with_name(f"{file.name}-wal")
    family.add_metric(["log"], log.stat().st_size if log.exists() else 0)
    return Part([family])


async def metrics(request: Any, datasette: Any) -> Response:
    """Answer a scrape; concurrent scrapes share one read of the ledger."""
    await require_permission(request, datasette)
    database = datasette.get_database("ledger")
    form = format_for(request.headers.get("accept", ""))
    limit_ms = datasette.setting("sql_time_limit_ms")

    def reading(sources: Sequence[Source]) -> Callable[[], Awaitable[Part]]:
        return lambda: database.execute_fn(
            lambda conn: read(conn, sources, form, limit_ms=limit_ms)
        )

    try:
        current = await flights.get(database.path, reading([*SOURCES, *account_sources()]))
    except sqlite3.OperationalError as error:
        return Response.text(f"The ledger cannot be read now: {error}.\n", status=503)
    estimate = await gaps.get(reading([GAP_SOURCE]))
    parts = [part for part in (current, estimate, file_sizes(Path(database.path))) if part]
    return await asyncio.to_thread(respond, parts, form)


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register the route of scrapes."""
    return [(r"^/metrics$", metrics)]
