"""The bill of a month equals sums over its events, and its shares add up."""

import csv
import io
import json
import random
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import retention
from ledger.aliases import table_rows, update
from ledger.settings import Aliases
from tests.support.brute import (
    DAY,
    HOUR,
    LONG_ONES,
    MEASURES,
    MINUTE,
    Ledger,
    asked,
    cost,
    drawn,
    midnight,
    summed,
)
from tests.support.home import add_rollup_rows

NOW = 1_795_500_000_000  # 2026-11-24, UTC
# Clocks that change on the first or the last day of a month, at midnight or beside it; odd offsets;
# a day that was skipped at a year's end; and ordinary ones.
MONTHS = [
    pytest.param("Europe/Berlin", "2026-03", id="berlin-spring-in-it"),
    pytest.param("Europe/Berlin", "2027-10", id="berlin-autumn-on-its-last-day"),
    pytest.param("America/New_York", "2026-11", id="new-york-autumn-on-its-first-day"),
    pytest.param("America/Havana", "2026-11", id="havana-midnight-comes-twice"),
    pytest.param("Australia/Lord_Howe", "2026-10", id="lord-howe-half-hour"),
    pytest.param("Asia/Kathmandu", "2026-02", id="kathmandu-05:45-short-month"),
    pytest.param("Africa/Casablanca", "2026-02", id="casablanca-ramadan"),
    pytest.param("Pacific/Apia", "2011-12", id="apia-skips-a-day"),
    pytest.param("Pacific/Chatham", "2026-04", id="chatham-12:45"),
    pytest.param("Asia/Shanghai", "2026-12", id="shanghai-year-end"),
    pytest.param("UTC", "2028-02", id="utc-leap-year"),
]
NEWEST_MONTH = """
  select max(month)
  from months
  where starts_at <= (select max(occurred_at) from usage_events)
    and starts_at <= (select now from clock)
"""
CLIENTS = {"…pha1": "alpha1", "…ta22": "beta22", "…ma33": "gamma33", "(none)": ""}


def span(month: str, zone: str) -> tuple[int, int]:
    """Return the first and last instant (ms) of a month, found by search."""
    year, number = map(int, month.split("-"))
    after = date(year + number // 12, number % 12 + 1, 1)
    return midnight(date(year, number, 1), zone), midnight(after, zone)


def events(start: int, end: int):
    """Return events in, before and after a month, most of them near its ends."""
    near = st.sampled_from([start, end]).flatmap(
        lambda at: (
            st.integers(-3 * HOUR, 3 * HOUR)
            | st.integers(-30 * HOUR, 30 * HOUR)
            | st.integers(-8, 8).map(lambda n: n * 15 * MINUTE)
            | st.sampled_from([-1, 0, 1])
            # The UTC days around, where one kind of bucket follows on another.
            | st.sampled_from([-DAY, -1, 0, 1, DAY - 1, DAY]).map(lambda n: n - at % DAY)
        ).map(lambda delta: at + delta)
    )
    return drawn(
        most=40,
        at=near | st.integers(start - 20 * DAY, end + 20 * DAY),
        account=st.sampled_from(["ann", "bob"]),
        model=st.sampled_from(["own-large", "unknown-model"]),
        client=st.sampled_from(list(CLIENTS.values())),
        input=st.integers(0, 100_000),
    )


def name_of(event: dict) -> str:
    """Return a client as it is shown."""
    return next(name for name, client in CLIENTS.items() if client == event["client"])


def check(ledger: Ledger, events: list[dict], month: str, *, cents: int) -> None:
    """Compare a month's rows with its events, and its shares with the price."""
    for by, weigh in (("", cost), ("tokens", lambda event: event["input"] + event["output"])):
        rows = ledger.ask("month_report", month=month, price=f"{cents / 100:.2f}", by=by)
        assert asked(rows, "client") == summed(events, name_of)
        weights = {
            row["client"]: sum(weigh(e) for e in events if name_of(e) == row["client"])
            for row in rows
        }
        shared(rows, weights, cents=cents)


def shared(rows: list[dict], weights: dict[str, int], *, cents: int) -> None:
    """Check the shares: all of the price, and each within a cent of its weight."""
    whole = sum(weights.values())
    if not whole or not cents:
        assert all(row["share_dollars"] is None for row in rows)
        return
    parts = {row["client"]: round(row["share_dollars"] * 100) for row in rows}
    assert sum(parts.values()) == cents
    assert sum(row["share_percent"] for row in rows) == pytest.approx(100, abs=0.01)
    for client, part in parts.items():
        assert abs(part * whole - cents * weights[client]) < whole, (client, parts, weights)


@pytest.mark.parametrize(("zone", "month"), MONTHS)
def test_a_month_equals_brute_force(zone, month):
    start, end = span(month, zone)

    @given(data=st.data())
    @settings(LONG_ONES, max_examples=8)
    def holds(data):
        made = data.draw(events(start, end))
        cents = data.draw(st.integers(0, 100_000))
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Ledger(Path(folder), zone)) as ledger,
        ):
            # Days from long before the table's begin are added with the first event of theirs.
            anchors = [
                {**made[0], "at": at, "id": str(at)} for at in (start - 40 * DAY, end + 40 * DAY)
            ]
            ledger.keep([*made[::2], *anchors])
            ledger.keep(made[1::2])
            ledger.set_clock(end + DAY)
            check(ledger, [e for e in made if start <= e["at"] < end], month, cents=cents)

    holds()


@given(
    weights=st.lists(st.integers(0, 10**12), min_size=1, max_size=60),
    cents=st.integers(1, 10**9),
)
@settings(max_examples=150, deadline=None, database=None)
def test_shares_are_whole_cents_and_add_up_to_the_price(sharing, weights, cents):
    sharing.conn.execute("delete from client_rollup")
    row = {"resolution": 4, "bucket_at": NOW // DAY * DAY, "proxy_id": 1, "requests": 1}
    add_rollup_rows(
        sharing.conn,
        "client_rollup",
        (
            {**row, "client_id": client, "input_tokens": weight}
            for client, weight in enumerate(weights, start=1)
        ),
    )
    rows = sharing.ask("month_report", month="2026-11", price=str(cents / 100), by="tokens")
    by_name = {f"client {number}": weight for number, weight in enumerate(weights, start=1)}
    assert len(rows) == len(weights)
    whole = sum(weights)
    if whole == 0:
        assert {row["share_dollars"] for row in rows} == {None}
        return
    parts = {row["client"]: round(row["share_dollars"] * 100) for row in rows}
    assert sum(parts.values()) == cents
    assert all(
        abs(part - cents * by_name[client] / whole) < 1.000001 for client, part in parts.items()
    )
    heaviest_first = sorted(parts, key=lambda client: -by_name[client])
    assert [parts[client] for client in heaviest_first] == sorted(parts.values(), reverse=True)


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    """A ledger that knows sixty clients and has no event."""
    with closing(Ledger(tmp_path_factory.mktemp("sharing"), "UTC")) as ledger:
        ledger.set_clock(NOW)
        ledger.conn.executemany(
            "insert into known_clients (key_hash, label) values (?, ?)",
            [(bytes([number]), f"client {number}") for number in range(1, 61)],
        )
        yield ledger


def made(count: int) -> list[dict]:
    """Return events of the last 100 days."""
    chance = random.Random(11)
    return [
        {
            "at": NOW - chance.randrange(100 * DAY),
            "account": "ann",
            "model": chance.choice(["own-large", "unknown-model"]),
            "client": chance.choice(list(CLIENTS.values())),
            "input": chance.randrange(1000),
            "output": chance.randrange(1000),
            "latency": 10,
            "failed": chance.random() < 0.2,
            "id": str(number),
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "America/New_York"])
def test_months_stay_exact_when_their_events_are_deleted(tmp_path, zone):
    events = made(600)
    with closing(Ledger(tmp_path, zone)) as ledger:
        ledger.keep(events)
        ledger.set_clock(NOW)
        retention.move_cutoff(ledger.conn, keep_days=14, now=NOW)
        while retention.prune_batch(ledger.conn):
            pass
        for month in ("2026-08", "2026-09", "2026-10", "2026-11"):
            start, end = span(month, zone)
            of_month = [event for event in events if start <= event["at"] < end]
            assert of_month
            check(ledger, of_month, month, cents=20_000)


def test_keys_with_one_name_are_one_client(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep(made(200))
        ledger.set_clock(NOW)
        plain = {row["client"]: row for row in ledger.ask("month_report", price="100")}
        named = Aliases({}, {"…pha1": "the team", "…ta22": "the team"})
        update(ledger.conn, table_rows(named, tmp_path))
        rows = {row["client"]: row for row in ledger.ask("month_report", price="100")}
    assert set(rows) == {"the team", "…ma33", "(none)"}
    for name in (*MEASURES, "cost_dollars"):
        both = plain["…pha1"][name] + plain["…ta22"][name]
        assert rows["the team"][name] == pytest.approx(both)
    assert sum(round(row["share_dollars"] * 100) for row in rows.values()) == 10_000


def test_a_month_says_when_it_is_not_whole(tmp_path):
    with closing(Ledger(tmp_path, "Europe/Berlin")) as ledger:
        ledger.keep(made(50), popped_at=NOW - 40 * DAY)
        ledger.set_clock(NOW)

        def note(month: str) -> str | None:
            sql = "select note from month_notes where month = ?"
            return ledger.conn.execute(sql, (month,)).fetchone()[0]

        assert note("2026-12") == "not begun yet"
        assert note("2026-11") == "not over yet"
        assert note("2026-10") == "collection began on 2026-10-15 08:00:00"
        ledger.conn.execute(
            "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded) "
            "values (1, ?, ?, 'proxy away', 1)",
            (NOW - 2 * DAY, NOW - DAY),
        )
        expected = "not over yet; gaps in which events may be missing: 1, see /ledger/gap_list"
        assert note("2026-11") == expected
        assert "gaps" not in note("2026-10")
        ledger.conn.execute("update rollup_state set last_event_id = 3")
        assert note("2026-11").endswith("its sums are being worked out anew")
        ledger.set_clock(NOW + 30 * DAY)
        ledger.conn.execute("update rollup_state set last_event_id = 50")
        ledger.conn.execute("delete from gaps")
        assert note("2026-11") is None


def report(home, *words: str, status: int = 0) -> str:
    """Run the report and return its output."""
    return home.run("ledger", "report", *words, status=status)


@pytest.fixture(scope="module")
def month(seeded):
    """The month that the seeded ledger's newest events lie in."""
    [(newest,)] = seeded.query(NEWEST_MONTH)
    return newest


def test_csv_and_json_are_the_rows_of_the_canned_query(seeded, site, month):
    parameters = {"month": month, "price": "19.99", "_shape": "array"}
    served = site.get("/ledger/month_report.json", params=parameters).json()
    assert len(served) > 1
    written = report(seeded, "month", month, "--price", "19.99", "--format", "json")
    assert json.loads(written) == served
    as_csv = report(seeded, "month", month, "--price", "19.99", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(as_csv)))
    assert [line["client"] for line in lines] == [row["client"] for row in served]
    assert list(lines[0]) == list(served[0])
    assert sum(round(float(line["share_dollars"]) * 100) for line in lines) == 1999


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_a_table_ends_with_sums_and_says_what_is_not_whole(seeded, site, month, style):
    output = report(
        seeded, "month", month, "--price", "200", "--share", "tokens", "--format", style
    )
    assert f"Month {month}, $200.00 shared by tokens" in output
    *_, total, _, missing, _, note = output.rstrip().splitlines()
    shown = [cell for cell in total.replace("|", " ").split() if cell]
    whole = site.get("/ledger/month_report.json", params={"month": month, "_shape": "array"}).json()
    assert shown[:2] == ["total", str(sum(row["requests"] for row in whole))]
    assert shown[-2:] == ["100.00", "$200.00"]
    unpriced = sum(row["unpriced"] for row in whole)
    assert missing.startswith("≥ $")
    assert f", {unpriced} attempt" in missing
    assert note.startswith(("Not over yet", "Collection began"))


def test_without_a_price_there_is_no_share_column(seeded, month):
    output = report(seeded, "month", month)
    assert "share_percent" in output
    assert " share " not in output.replace("share_percent", "").splitlines()[2]


def test_the_price_of_the_settings_is_shared_where_none_is_named(home, proxy, all_recorded):
    from tests.support.sites import client_of

    home.use(proxy, LEDGER_SUBSCRIPTION_PRICE="123.45")
    proxy.push(all_recorded)
    home.run("ingest", "--once")
    [(month,)] = home.query(NEWEST_MONTH)
    with closing(client_of(home)) as client:
        parameters = {"month": month, "_shape": "array"}
        served = client.get("/ledger/month_report.json", params=parameters).json()
        other = client.get("/ledger/month_report.json", params={**parameters, "price": "1"}).json()
    assert sum(round(row["share_dollars"] * 100) for row in served) == 12_345
    assert sum(round(row["share_dollars"] * 100) for row in other) == 100
    assert "$123.45 shared by cost" in report(home, "month", month)


def test_what_makes_no_sense_is_refused_with_a_sentence(seeded):
    assert "is outside the months" in report(seeded, "month", "2199-01", status=1)
    assert "2026-13 is no month" in report(seeded, "month", "2026-13", status=2)
    assert "-3 is no price" in report(seeded, "month", "--price=-3", status=2)
    assert "nan is no price" in report(seeded, "month", "--price", "nan", status=2)
    assert "belong to: month" in report(seeded, "24h", "--price", "3", status=2)
    assert "--by is for windows" in report(seeded, "month", "--by", "day", status=2)
    seeded.env["LEDGER_SUBSCRIPTION_PRICE"] = "much"
    output = report(seeded, "month", status=1)
    del seeded.env["LEDGER_SUBSCRIPTION_PRICE"]
    assert "subscription_price in the environment is malformed" in output


def test_a_month_of_nothing_is_said_to_be_empty(seeded):
    assert "nothing" in report(seeded, "month", "2025-01")
    assert report(seeded, "month", "2025-01", "--format", "csv") == ""
    assert json.loads(report(seeded, "month", "2025-01", "--format", "json")) == []
