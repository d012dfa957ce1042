"""Local days and offsets are those of the time zone, at every instant."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import schema, zones
from ledger.database import transaction

ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/St_Johns"),
    *("Pacific/Apia", "America/Havana", "Australia/Lord_Howe", "Asia/Shanghai"),
    *("Africa/Casablanca", "Africa/Cairo", "Pacific/Kiritimati", "Pacific/Chatham"),
]
FIRST, LAST = date(2024, 1, 1), date(2028, 12, 31)
HOUR = 3_600_000


def at(text: str) -> int:
    """Return an ISO instant as ms."""
    return zones.milliseconds(datetime.fromisoformat(text))


def days(zone: str, first: str, last: str) -> list[tuple[str, int, int]]:
    """Return the local days of a zone."""
    return list(
        zones.local_days(ZoneInfo(zone), date.fromisoformat(first), date.fromisoformat(last))
    )


@cache
def tables(zone: str) -> tuple[list[tuple[str, int, int]], list[tuple[int, int, int]]]:
    """Return a zone's days and offsets over five years."""
    result = list(zones.local_days(ZoneInfo(zone), FIRST, LAST))
    return result, list(zones.offsets(ZoneInfo(zone), result[0][1], result[-1][2]))


@pytest.mark.parametrize("zone", ZONES)
def test_days_and_offsets_tile_the_time(zone: str) -> None:
    of_days, of_offsets = tables(zone)
    assert [ends for _, _, ends in of_days[:-1]] == [starts for _, starts, _ in of_days[1:]]
    assert [ends for _, ends, _ in of_offsets[:-1]] == [starts for starts, _, _ in of_offsets[1:]]
    assert all(before[2] != after[2] for before, after in pairwise(of_offsets))
    assert (of_offsets[0][0], of_offsets[-1][1]) == (of_days[0][1], of_days[-1][2])
    assert [day for day, _, _ in of_days] == [
        (FIRST + timedelta(days=n)).isoformat() for n in range((LAST - FIRST).days + 1)
    ]


def check(zone: str, instant: int) -> None:
    """Compare an instant's row in both tables with what zoneinfo says."""
    of_days, of_offsets = tables(zone)
    local = datetime.fromtimestamp(instant / 1000, UTC).astimezone(ZoneInfo(zone))
    day = of_days[bisect_right(of_days, instant, key=lambda row: row[1]) - 1]
    stretch = of_offsets[bisect_right(of_offsets, instant, key=lambda row: row[0]) - 1]
    assert day[0] == local.date().isoformat()
    assert timedelta(milliseconds=stretch[2]) == local.utcoffset()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ZONES), st.integers(at("2024-01-02T00:00Z"), at("2028-12-30T00:00Z")))
def test_any_instant_has_the_day_and_offset_that_zoneinfo_gives(zone: str, instant: int) -> None:
    check(zone, instant)


@pytest.mark.parametrize("zone", ZONES)
def test_the_instants_around_each_change_of_the_clocks_are_right(zone: str) -> None:
    for starts_at, _, _ in tables(zone)[1][1:]:
        for around in (-HOUR, -60_000, -1, 0, 1, 60_000, HOUR):
            check(zone, starts_at + around)


@pytest.mark.parametrize(
    ("zone", "first", "last", "expected"),
    [
        pytest.param("Europe/Berlin", "2026-03-28", "2026-03-30", [24, 23, 24], id="spring"),
        pytest.param("Europe/Berlin", "2026-10-24", "2026-10-26", [24, 25, 24], id="autumn"),
        pytest.param("America/New_York", "2026-11-01", "2026-11-01", [25], id="new-york"),
        pytest.param("Australia/Lord_Howe", "2026-04-05", "2026-04-05", [24.5], id="half-hour"),
        pytest.param("America/Havana", "2026-03-08", "2026-03-08", [23], id="no-midnight"),
        pytest.param("America/Havana", "2026-11-01", "2026-11-01", [25], id="midnight-twice"),
        pytest.param("Pacific/Apia", "2011-12-29", "2011-12-31", [24, 24], id="skipped-day"),
        pytest.param("Asia/Kathmandu", "1985-12-31", "1986-01-01", [24, 23.75], id="quarter-hour"),
        pytest.param("America/St_Johns", "2010-11-06", "2010-11-07", [24, 25], id="back-at-00:01"),
        pytest.param("Africa/Monrovia", "1972-01-07", "1972-01-07", [23.2583], id="odd-seconds"),
    ],
)
def test_a_day_is_as_long_as_it_was(
    zone: str, first: str, last: str, expected: list[float]
) -> None:
    result = [round((ends - starts) / HOUR, 4) for _, starts, ends in days(zone, first, last)]
    assert result == expected


@pytest.mark.parametrize(
    ("zone", "day", "starts_at"),
    [
        pytest.param("Europe/Berlin", "2026-08-22", "2026-08-21T22:00Z", id="berlin"),
        pytest.param("Asia/Kathmandu", "2026-08-22", "2026-08-21T18:15Z", id="kathmandu"),
        pytest.param("America/St_Johns", "2026-01-22", "2026-01-22T03:30Z", id="st-johns"),
        pytest.param("America/Havana", "2026-03-08", "2026-03-08T05:00Z", id="no-midnight"),
        pytest.param("America/Havana", "2026-11-01", "2026-11-01T04:00Z", id="first-midnight"),
        pytest.param("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", id="after-skipped-day"),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: str, starts_at: str) -> None:
    assert [row[:2] for row in days(zone, day, day)] == [(day, at(starts_at))]


def test_an_offset_changes_at_its_very_millisecond() -> None:
    result = list(
        zones.offsets(ZoneInfo("Africa/Monrovia"), at("1972-01-01T00:00Z"), at("1972-02-01T00:00Z"))
    )
    change = at("1972-01-07T00:44:30Z")
    assert result == [
        (at("1972-01-01T00:00Z"), change, -2_670_000),
        (change, at("1972-02-01T00:00Z"), 0),
    ]


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """A ledger in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        schema.apply(opened, *schema.steps()[0])
        yield opened


def stored(conn: sqlite3.Connection) -> tuple[object, ...]:
    """Return zone, first and last day, and how often the offset changes, as the tables have it."""
    return conn.execute(
        "select (select value from settings where name = 'timezone'), min(day), max(day),"
        " (select count(*) - 1 from zone_offsets) from local_days"
    ).fetchone()


def test_another_zone_rewrites_the_tables_and_the_same_one_does_not(
    conn: sqlite3.Connection,
) -> None:
    last = (datetime.now(UTC).date() + timedelta(days=zones.DAYS_AHEAD)).isoformat()
    zones.update(conn, "Asia/Kathmandu")
    assert stored(conn) == ("Asia/Kathmandu", "2024-01-01", last, 0)
    written = conn.total_changes
    zones.update(conn, "Asia/Kathmandu")
    assert conn.total_changes == written
    zones.update(conn, "Asia/Shanghai")
    assert stored(conn) == ("Asia/Shanghai", "2024-01-01", last, 0)
    assert conn.execute("select distinct offset_ms from zone_offsets").fetchall() == [(8 * HOUR,)]


@pytest.mark.parametrize(
    ("earliest", "latest", "first", "last"),
    [
        pytest.param("1970-01-01T00:00Z", "2026-01-01T00:00Z", "1969-12-30", None, id="1970"),
        pytest.param(
            "2026-01-01T00:00Z", "2150-06-01T12:00Z", "2024-01-01", "2150-06-03", id="2150"
        ),
        pytest.param(
            "1970-01-01T00:00Z", "2199-12-31T23:00Z", "1969-12-30", "2200-01-02", id="both"
        ),
        pytest.param("2024-06-01T00:00Z", "2026-01-01T00:00Z", "2024-01-01", None, id="inside"),
    ],
)
@pytest.mark.timeout(60)
def test_a_wrong_clock_extends_the_tables(
    conn: sqlite3.Connection, earliest: str, latest: str, first: str, last: str | None
) -> None:
    zones.update(conn, "Europe/Berlin")
    before = stored(conn)
    with transaction(conn):
        zones.extend(conn, at(earliest), at(latest))
    assert stored(conn)[:3] == ("Europe/Berlin", first, last or before[2])
    zones.update(conn, "America/Havana")
    assert stored(conn)[:3] == ("America/Havana", first, last or before[2])
