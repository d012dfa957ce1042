"""Old events are deleted and sums stay: windows, ranges and checks are as right as before."""

import time
from contextlib import closing
from datetime import timedelta

import pytest

from ledger import retention, rollups
from ledger.integrity import check_all
from ledger.prices.calculator import Prices
from ledger.prices.overrides import Price
from ledger.prices.reprice import reprice
from tests.support.brute import (
    DAY,
    HOUR,
    NOTHING,
    Ledger,
    asked,
    local,
    midnight,
    old_events,
    rollup_contents,
    summed,
)

NOW = 1_795_500_000_000
WEEK = 7 * DAY
CUT = (NOW - 14 * DAY) // WEEK * WEEK


def ignore_progress(done: int, whole: int) -> None:
    """Ignore progress."""


def prune(ledger: Ledger) -> int:
    """Delete everything older than 14 days; returns the number of events."""
    assert retention.move_cutoff(ledger.conn, keep_days=14, now=NOW) == CUT
    deleted = 0
    while some := retention.prune_batch(ledger.conn, limit=50):
        deleted += some
    while retention.release_pages(ledger.conn):
        pass
    return deleted


def wrong(ledger: Ledger) -> list[tuple[str, str]]:
    """Return what the ledger's own integrity checks find."""
    return [(question, problem) for question, problem in check_all(ledger.conn) if problem]


@pytest.fixture(params=["UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns"])
def thinned(request, tmp_path):
    """A ledger whose old events have gone, all its events, and its zone."""
    events = old_events(900)
    with closing(Ledger(tmp_path, request.param, recent_from=NOW - 48 * HOUR)) as ledger:
        ledger.keep(events[::2], popped_at=NOW)
        ledger.keep(events[1::2], popped_at=NOW)
        assert prune(ledger) == sum(event["at"] < CUT for event in events) > 0
        ledger.set_clock(NOW)
        yield ledger, events, request.param


def test_every_proof_holds_and_no_old_event_is_left(thinned):
    ledger, events, _ = thinned
    assert wrong(ledger) == []
    [(oldest, left, details)] = ledger.conn.execute(
        "select min(occurred_at), count(*), (select count(*) from failure_details) "
        "from usage_events"
    ).fetchall()
    remaining = [event for event in events if event["at"] >= CUT]
    assert (left, details) == (len(remaining), sum(event["failed"] for event in remaining))
    assert oldest >= CUT


def test_old_ranges_are_exact_where_buckets_allow_it(thinned):
    ledger, events, zone = thinned
    for first, length in ((-58, 1), (-40, 3), (-30, 9), (-25, 20), (-20, 15), (-3, 2)):
        start = local(NOW, zone).date() + timedelta(days=first)
        end = start + timedelta(days=length)
        inside = [e for e in events if midnight(start, zone) <= e["at"] < midnight(end, zone)]
        parameters = {"from": start.isoformat(), "to": (end - timedelta(days=1)).isoformat()}
        whole = summed(inside, lambda _: 1).get(1, NOTHING)
        # A local midnight is always a quarter hour's.
        assert list(asked(ledger.ask("summary", **parameters), "window").values()) == [whole], (
            parameters
        )
        by_model = summed(inside, lambda e: e["model"])
        assert asked(ledger.ask("models", **parameters), "model") == by_model, parameters
        days = summed(inside, lambda e: f"{local(e['at'], zone):%Y-%m-%d}")
        assert asked(ledger.ask("days", **parameters), "day") == days, parameters
        if zone in ("UTC", "Asia/Shanghai"):
            accounts = summed(inside, lambda e: f"{e['account']}@example.com")
            assert asked(ledger.ask("accounts", **parameters), "account") == accounts, parameters


def test_the_windows_that_end_now_are_exact_or_begin_with_a_whole_bucket(thinned):
    ledger, events, _ = thinned
    for window, length in (("1h", HOUR), ("24h", DAY), ("7d", WEEK)):
        start = NOW - length
        start -= start % (60_000 if length <= DAY else HOUR)
        inside = [e for e in events if start <= e["at"] < NOW]
        whole = summed(inside, lambda _: 1).get(1, NOTHING)
        assert list(asked(ledger.ask("summary", window=window), "window").values()) == [whole]
        assert ledger.ask("data_coverage", window=window)[0]["is_whole_buckets"] == 0
    start = (NOW - 30 * DAY) // (15 * 60_000) * 15 * 60_000
    whole = summed([e for e in events if start <= e["at"] < NOW], lambda _: 1)[1]
    assert list(asked(ledger.ask("summary", window="30d"), "window").values()) == [whole]
    [told_of] = ledger.ask("data_coverage", window="30d")
    assert told_of["is_whole_buckets"] == 1
    assert "single events are kept from" in told_of["sentence"]


def test_a_rebuild_and_new_prices_touch_nothing_older(thinned):
    ledger, _, _ = thinned
    before = rollup_contents(ledger)
    rollups.reset(ledger.conn, NOW)
    rollups.catch_up(ledger.conn)
    assert rollup_contents(ledger) == before
    free = Prices({"own-*": Price(input=0.0, output=0.0)})
    reprice(ledger.conn, free, start=0, end=1 << 62, progress=ignore_progress)
    assert wrong(ledger) == []
    old = "select sum(cost_microdollars) from total_rollup where resolution = 4 and bucket_at < ?"
    expected = sum(row[11] for row in before["total_rollup"] if row[0] == 4 and row[1] < CUT)
    assert ledger.conn.execute(old, (CUT,)).fetchone() == (expected,)


def test_an_older_event_is_refused_with_a_reason(thinned):
    ledger, _, _ = thinned
    before = rollup_contents(ledger)
    late = [
        {**old_events(1, seed=9)[0], "at": CUT - 1},
        {**old_events(1, seed=10)[0], "at": CUT - 30 * DAY},
    ]
    ledger.keep(late, popped_at=NOW)
    assert rollup_contents(ledger) == before
    reasons = ledger.conn.execute("select reason, count(*) from rejected_events group by 1")
    assert reasons.fetchall() == [
        ("timestamp: older than the events that keep_events_days keeps", 2)
    ]
    assert wrong(ledger) == []


def test_an_event_that_takes_a_deleted_events_id_is_counted(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep([{**old_events(1)[0], "at": NOW - 5 * DAY}], popped_at=NOW)
        ledger.keep([{**old_events(1, seed=4)[0], "at": NOW - 50 * DAY}], popped_at=NOW)
        assert prune(ledger) == 1
        ledger.keep([{**old_events(1, seed=5)[0], "at": NOW - DAY}], popped_at=NOW)
        assert ledger.conn.execute("select max(id) from usage_events").fetchone() == (2,)
        assert wrong(ledger) == []
        ledger.set_clock(NOW)
        assert ledger.ask("summary", window="30d")[0]["requests"] == 2


def test_nothing_is_deleted_unless_asked_or_while_a_rebuild_is_under_way(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep(old_events(50), popped_at=NOW)
        assert retention.move_cutoff(ledger.conn, keep_days=0, now=NOW) == 0
        rollups.reset(ledger.conn, NOW)
        assert retention.move_cutoff(ledger.conn, keep_days=14, now=NOW) == 0
        rollups.catch_up(ledger.conn)
        assert retention.move_cutoff(ledger.conn, keep_days=14, now=NOW) == CUT
        assert retention.move_cutoff(ledger.conn, keep_days=30, now=NOW) == CUT


def test_the_space_is_given_back_in_small_steps(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        for seed in range(20):
            ledger.keep(old_events(1000, seed=seed), popped_at=NOW)
        ledger.conn.execute("pragma wal_checkpoint(truncate)").fetchall()
        before = (tmp_path / "ledger.db").stat().st_size
        retention.move_cutoff(ledger.conn, keep_days=14, now=NOW)
        steps = list(iter(lambda: retention.prune_batch(ledger.conn, limit=500), 0))
        while retention.release_pages(ledger.conn):
            pass
        ledger.conn.execute("pragma wal_checkpoint(truncate)").fetchall()
        assert (tmp_path / "ledger.db").stat().st_size < 0.85 * before
        assert len(steps) > 10
        assert max(steps) == 500
        assert wrong(ledger) == []


def test_the_collector_and_the_command_do_it_by_themselves(home, proxy, all_recorded):
    proxy.push(all_recorded)
    home.use(proxy)
    home.run("ingest", "--once")
    whole = home.count()
    old = home.query("select count(*) from usage_events where occurred_at < ?", weeks_ago())[0][0]
    home.env["LEDGER_KEEP_EVENTS_DAYS"] = "7"
    assert f"{old:,} events deleted" in home.run("ledger", "retain")
    assert home.count() == whole - old
    home.run("ingest", "--once")
    home.run("ledger", "check")


def weeks_ago() -> int:
    """Return the instant (ms) before which nothing is kept with seven days."""
    return (time.time_ns() // 1_000_000 - WEEK) // WEEK * WEEK
