"""Rollups kept with the events, worked out anew, pruned and repriced: always the same sums."""

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import rollups, transaction
from ledger.data_folder import prepare
from ledger.integrity import check_all
from ledger.prices.calculator import Attempt, Prices
from ledger.prices.overrides import Price
from ledger.prices.reprice import Change, reprice
from tests.support.brute import (
    DAY,
    HOUR,
    OWN,
    Ledger,
    everything_holds,
    local,
    rollup_contents,
    summed,
)

NOW = 1_795_500_000_000
RECENT = (NOW - 48 * HOUR) // HOUR * HOUR
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(NOW - 20 * DAY, NOW) | st.integers(NOW - 2 * HOUR, NOW),
            "proxy": st.sampled_from(["north", "south"]),
            "account": st.sampled_from(["ann", "bob", "eve"]),
            "model": st.sampled_from(["own-large", "gpt-5.5", "unknown-model"]),
            "client": st.sampled_from(["", "alpha1", "beta22"]),
            "input": st.integers(0, 300_000),
            "output": st.integers(0, 1000),
            "latency": st.integers(0, 10**7),
            "failed": st.booleans(),
            "id": st.uuids().map(str),
        }
    ),
    max_size=60,
)


def ignore_progress(done: int, whole: int) -> None:
    """Ignore the progress."""


@given(events=EVENTS, sizes=st.lists(st.integers(1, 20), max_size=5))
@settings(max_examples=15, deadline=None)
def test_a_rebuilt_ledger_equals_one_kept_batch_by_batch(events, sizes):
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Ledger(Path(folder), "UTC", recent_from=RECENT)) as ledger,
    ):
        left = events
        for size in [*sizes, len(events)]:
            # Some of each batch comes again: duplicates must add nothing.
            ledger.keep(left[:size] + events[:3], popped_at=NOW)
            left = left[size:]
        before = rollup_contents(ledger)
        rollups.reset(ledger.conn, NOW)
        rollups.catch_up(ledger.conn, ignore_progress)
        assert rollup_contents(ledger) == before
        assert everything_holds(ledger)


@given(events=EVENTS)
@settings(max_examples=10, deadline=None)
def test_a_repriced_ledger_equals_one_that_had_those_prices_from_the_start(events):
    other = {"own-*": Price(input=3.0, output=1.0), "unknown-*": Price(input=1.0, output=1.0)}
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        closing(Ledger(Path(one), "UTC", recent_from=RECENT)) as late,
        closing(Ledger(Path(two), "UTC", recent_from=RECENT, prices=other)) as early,
    ):
        late.keep(events, popped_at=NOW)
        reprice(late.conn, Prices(other), start=0, end=1 << 62, progress=ignore_progress)
        early.keep(events, popped_at=NOW)
        costs = """
          select event_hash, cost_microdollars, cost_reason, saved_microdollars
          from usage_events
          order by 1
        """
        assert late.conn.execute(costs).fetchall() == early.conn.execute(costs).fetchall()
        assert rollup_contents(late) == rollup_contents(early)
        assert everything_holds(late)


def event(at: int, **more: object) -> dict:
    """Return one ordinary event."""
    return {
        "at": at,
        "account": "ann",
        "model": "own-large",
        "client": "alpha1",
        "input": 300,
        "output": 20,
        "latency": 1000,
        "failed": False,
        "id": str(at),
        **more,
    }


def test_only_the_days_named_are_repriced(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep([event(NOW - DAY), event(NOW)])
        other = Prices({"own-*": Price(input=0.0, output=0.0)})
        assert reprice(ledger.conn, other, start=NOW, end=1 << 62, progress=ignore_progress) == {
            ("codex", "own-large"): Change(1, 610, 0, 0, 0)
        }
        costs = "select cost_microdollars from usage_events order by occurred_at"
        assert ledger.conn.execute(costs).fetchall() == [(610,), (0,)]


def test_the_finest_buckets_of_long_ago_are_dropped(tmp_path):
    with closing(Ledger(tmp_path, "UTC", recent_from=RECENT)) as ledger:
        ledger.keep([event(NOW)], popped_at=NOW)
        minutes = "select count(*) from model_rollup where resolution = 1"
        assert ledger.conn.execute(minutes).fetchone() == (1,)
        ledger.keep([event(NOW + 9 * DAY)], popped_at=NOW + 9 * DAY)
        assert ledger.conn.execute(minutes).fetchone() == (1,)
        ledger.set_clock(NOW + 1)
        assert ledger.ask("models", window="24h")[0]["requests"] == 1
        assert everything_holds(ledger)


def test_another_time_zone_needs_no_new_rollups(tmp_path):
    events = [event(NOW - n * 7 * HOUR) for n in range(30)]
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep(events)
        before = rollup_contents(ledger)
    prepare(tmp_path, timezone="Asia/Kathmandu").close()
    with closing(Ledger(tmp_path, "Asia/Kathmandu")) as ledger:
        ledger.set_clock(NOW + 1)
        rows = ledger.ask("days", window="30d")
        assert rollup_contents(ledger) == before
    days = summed(events, lambda e: f"{local(e['at'], 'Asia/Kathmandu'):%Y-%m-%d}")
    assert {row["day"]: row["requests"] for row in rows} == {d: s[0] for d, s in days.items()}


def test_a_rebuild_goes_on_while_events_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(rollups, "IDS_PER_TRANSACTION", 5)
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep([event(NOW - n) for n in range(20)])
        rollups.reset(ledger.conn, NOW)
        ledger.keep([event(NOW - 100)])
        assert dict(check_all(ledger.conn))["every event is in the rollups"]
        rollups.catch_up(ledger.conn)
        assert everything_holds(ledger)
        with transaction(ledger.conn):
            rollups.add(ledger.conn)
        assert everything_holds(ledger)


def test_the_own_prices_of_the_tests_are_whole_numbers():
    rates = Prices(OWN).plan(Attempt("codex", "own-large", NOW)).rates_at(NOW)
    assert rates.steps[0].output == 8.0
