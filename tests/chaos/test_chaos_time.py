"""Clocks that jump, days with an hour more or less, and events from another century."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from ingest import collector, idle
from ledger.integrity import check_all
from tests.support.brute import HOUR, Ledger, local, old_events
from tests.support.chaos_rig import SIZE, record
from tests.support.home import collector_of, recorded

pytestmark = pytest.mark.timeout(1200)
NOW = 1_795_500_000_000


def event(at: str) -> bytes:
    """Return an event of an instant."""
    base = json.loads(recorded("written-from-source")[0])
    return json.dumps({**base, "timestamp": at}).encode()


def test_a_clock_that_jumps_an_hour_forward_and_back(home, proxy, monkeypatch, tmp_path):
    from ledger.data_folder import prepare
    from ledger.settings import Settings

    shift = [0]
    real = collector.now
    for module in (collector, idle):
        monkeypatch.setattr(module, "now", lambda: real() + shift[0])
    monkeypatch.setattr(collector, "POP_NOTE_SECONDS", 0.0)
    chosen = Settings(
        cliproxy_port=proxy.port,
        management_key="test-management-key",
        data_dir=str(home.data),
        auth_dir=str(tmp_path / "auth"),
    )
    conn = prepare(chosen.data_folder, timezone="UTC")
    worker = collector_of(conn, chosen)
    pushed = 0
    for jump in (0, HOUR, 0, -HOUR, 0, 25 * HOUR, 0):
        shift[0] = jump
        at = datetime.now(UTC) + timedelta(milliseconds=jump)
        batch = [event((at + timedelta(microseconds=n)).isoformat()) for n in range(50)]
        proxy.push(batch)
        pushed += 50
        while worker.step():
            pass
    worker.job = None
    worker.close()
    assert conn.execute("select count(*) from usage_events").fetchone() == (pushed,)
    backwards = "select count(*) from gaps where ended_at < started_at or ended_at is null"
    assert conn.execute(backwards).fetchone() == (0,)
    future = conn.execute("select events from clock_skew where side = 'future'").fetchone()
    assert future == (100,)
    ahead = "select value from problems where code = 'events_of_the_future'"
    assert conn.execute(ahead).fetchone() == (100,)
    assert [problem for _, problem in check_all(conn) if problem] == []
    [(today,)] = conn.execute("select requests from totals_by_window where window = '5h'")
    assert today == pushed - 100
    conn.close()
    record(
        "clock jumps an hour and a day forward and back",
        "each event is in the bucket of its time; no gap ends before its start; events "
        "of the future are flagged",
        f"{pushed} events over 7 jumps, 100 of them in the future",
    )


@pytest.mark.parametrize(
    ("zone", "change"),
    [("Europe/Berlin", 1_774_746_000_000), ("America/New_York", 1_793_512_800_000)],
)
def test_a_day_with_an_hour_more_or_less(tmp_path, zone, change):
    count = min(SIZE, 5000)
    events = [
        {**one, "at": change - 24 * HOUR + n * (48 * HOUR // count)}
        for n, one in enumerate(old_events(count))
    ]
    with closing(Ledger(tmp_path, zone)) as ledger:
        for at in range(0, count, 500):
            ledger.keep(events[at : at + 500], popped_at=change)
        ledger.set_clock(change + 24 * HOUR)
        days = {row["day"]: row["requests"] for row in ledger.ask("days", window="7d")}
        hours = sum(row["requests"] for row in ledger.ask("hours", window="7d"))
    expected: dict[str, int] = {}
    for one in events:
        day = f"{local(one['at'], zone):%Y-%m-%d}"
        expected[day] = expected.get(day, 0) + 1
    assert days == expected
    assert hours == count
    record(f"daylight saving changes in {zone}", "each event on its local day", f"{count:,} events")


def test_events_from_1970_and_from_2199(home, proxy):
    home.use(proxy)
    home.run("ingest", "--once")
    odd = ["1970-01-01T00:00:00Z", "1970-06-01T12:00:00Z", "2199-12-31T23:59:59.999Z"]
    now = datetime.now(UTC)
    usual = [event((now - timedelta(seconds=n)).isoformat()) for n in range(500)]
    proxy.push([*map(event, odd), *usual, event("1969-12-31T23:59:59Z")])
    began = datetime.now(UTC)
    home.run("ingest", "--once")
    took = (datetime.now(UTC) - began).total_seconds()
    assert home.query("select stored, rejected from ingest_ledger") == [(503, 1)]
    assert home.query("select requests from totals_by_window where window = '1h'") == [(500,)]
    day = "select sum(requests) from total_rollup where resolution = 4 and bucket_at = 0"
    assert home.query(day) == [(1,)]
    skewed = "select code, value from problems where alert_key like 'events of %' order by code"
    assert home.query(skewed) == [("events_of_the_future", 1), ("events_of_the_past", 2)]
    home.run("ledger", "check")
    assert took < 15
    record(
        "events from 1970 and from 2199 in one batch",
        "the buckets are right, the windows still move, the events are flagged; the "
        f"start and the batch took {took:.1f} s",
        "503 stored, 1 of 1969 rejected",
    )
