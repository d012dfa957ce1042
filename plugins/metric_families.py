"""Rows of the ledger as the families of samples that Prometheus reads."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "cliproxy_ledger_"

Family = CounterMetricFamily | GaugeMetricFamily


class Metric(NamedTuple):
    """A counter or gauge; several columns are told apart by the label `told_by`."""

    name: str
    help: str
    columns: dict[str, str]
    told_by: str = ""

    @property
    def is_counter(self) -> bool:
        """Tell whether it never goes back."""
        return self.name.endswith("_total")


class Source(NamedTuple):
    """A question to the ledger, whose first columns are labels, and what is told of its answer."""

    sql: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]


def one(name: str, help: str, column: str) -> Metric:
    """Describe a metric that is a single column."""
    return Metric(name, help, {"": column})


def families(conn: sqlite3.Connection, sources: Iterable[Source]) -> Iterator[Family]:
    """Read each source."""
    for source in sources:
        cursor = conn.execute(source.sql)
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor]
        for metric in source.metrics:
            yield filled(metric, source.labels, rows)


def filled(metric: Metric, labels: tuple[str, ...], rows: list[dict[str, object]]) -> Family:
    """Give a metric with its samples; what is unknown has none."""
    found = empty(metric, labels)
    for row in rows:
        for told, column in metric.columns.items():
            values = [str(row[label]) for label in labels] + ([told] if metric.told_by else [])
            if row[column] is not None:
                found.add_metric(values, row[column])
    return found


def empty(metric: Metric, labels: tuple[str, ...] = ()) -> Family:
    """Give a metric without samples."""
    kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
    told_by = (metric.told_by,) if metric.told_by else ()
    return kind(PREFIX + metric.name, metric.help, labels=(*labels, *told_by))
