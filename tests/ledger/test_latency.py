"""Percentiles and speeds against the exact ones."""

import math
import tempfile
from collections import defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.brute import DAY, HOUR, Ledger, span

NOW = 1_795_500_000_000
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(NOW - 40 * DAY, NOW + DAY) | st.integers(NOW - 2 * HOUR, NOW),
            "proxy": st.sampled_from(["north", "south"]),
            "account": st.sampled_from(["ann", "bob"]),
            "model": st.sampled_from(["own-large", "gpt-5.5"]),
            "client": st.just("alpha1"),
            "input": st.just(100),
            "output": st.integers(1, 1000),
            "latency": st.integers(2, 100) | st.integers(100, 10**7),
            "failed": st.booleans(),
            "id": st.uuids().map(str),
        }
    ),
    min_size=1,
    max_size=60,
)


def percentiles(values: list[int]) -> list[int | None]:
    """Return the smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    ranks = [math.ceil(len(ordered) * part / 100) - 1 for part in (50, 95, 99)]
    return [ordered[rank] if ordered else None for rank in ranks]


def percentile_columns(row: dict, kind: str) -> list[int | None]:
    """Return a query's percentiles."""
    return [row[f"{kind}_p{part}_ms"] for part in (50, 95, 99)]


def close(values: list[int | None]) -> list[object]:
    """Return each value with a tolerance of 2 %."""
    return [value if value is None else pytest.approx(value, rel=0.02) for value in values]


@given(events=EVENTS)
@settings(max_examples=20, deadline=None)
def test_percentiles_are_within_two_percent_of_the_exact_ones(events):
    with tempfile.TemporaryDirectory() as folder:
        recent = (NOW - 48 * HOUR) // HOUR * HOUR
        with closing(Ledger(Path(folder), "UTC", recent_from=recent)) as ledger:
            ledger.keep(events)
            ledger.set_clock(NOW)
            for window in ("1h", "24h", "7d", "30d"):
                compare(ledger, events, window=window)
                for proxy in ("north", "south", "nowhere"):
                    compare(ledger, events, window=window, proxy=proxy)


def compare(ledger: Ledger, events: list[dict], **parameters: str) -> None:
    """Compare every latency query for one window, of one proxy or across them."""
    start, end = span(NOW, "UTC", parameters["window"])
    inside = [
        event
        for event in events
        if start <= event["at"] < end
        and not event["failed"]
        and parameters.get("proxy") in (None, event["proxy"])
    ]
    latencies = percentiles([e["latency"] for e in inside])
    firsts = percentiles([e["latency"] // 2 for e in inside])
    [row] = ledger.ask("latency", **parameters)
    assert row["requests"] == (len(inside) or None)
    assert percentile_columns(row, "latency") == close(latencies)
    assert percentile_columns(row, "ttft") == close(firsts)

    models = defaultdict(list)
    for event in inside:
        models[event["model"]].append(event)
    rows = {row["model"]: row for row in ledger.ask("model_latency", **parameters)}
    assert rows.keys() == models.keys()
    for model, some in models.items():
        assert percentile_columns(rows[model], "latency") == close(
            percentiles([e["latency"] for e in some])
        )
        assert_speed(rows[model], some)

    of_ann = [e for e in inside if e["account"] == "ann"]
    [row] = ledger.ask("account_latency", **parameters, account="ann@example.com")
    assert percentile_columns(row, "latency") == percentiles([e["latency"] for e in of_ann])
    assert percentile_columns(row, "ttft") == percentiles([e["latency"] // 2 for e in of_ann])


def assert_speed(row: dict, events: list[dict]) -> None:
    """Compare output tokens per second, with and without the time to the first token."""
    output_tokens = sum(e["output"] for e in events)
    whole = sum(e["latency"] for e in events) / 1000
    after = sum(e["latency"] - e["latency"] // 2 for e in events) / 1000
    assert row["output_tokens_per_second"] == pytest.approx(output_tokens / whole, abs=0.051)
    streamed = row["output_tokens_per_second_after_first_token"]
    assert streamed == pytest.approx(output_tokens / after, abs=0.051)


def test_a_buckets_middle_is_at_most_two_percent_off(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        rows = ledger.conn.execute("select from_ms, ms from latency_buckets order by 1").fetchall()
    for (first, middle), (following, _) in pairwise(rows):
        assert abs(middle - first) <= first * 0.02
        assert abs(following - 1 - middle) <= (following - 1) * 0.02 + 0.5
