"""Local days and UTC offsets of the configured time zone, in small tables that views join."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

FIRST_DAY = date(2024, 1, 1)
DAYS_AHEAD = 800
DAYS_TO_SPARE = 400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def update(conn: sqlite3.Connection, zone_name: str) -> None:
    """Rewrite both tables when the zone has changed or their last days are near."""
    today = datetime.now(UTC).date()
    first, last = stored_range(conn) or (FIRST_DAY, today)
    if stored_zone(conn) == zone_name and last >= today + timedelta(days=DAYS_TO_SPARE):
        return
    rewrite(conn, zone_name, first=first, last=max(last, today + timedelta(days=DAYS_AHEAD)))


def extend(conn: sqlite3.Connection, earliest_at: int, latest_at: int) -> None:
    """Extend both tables to instants (ms, UTC) outside of them, which wrong clocks send."""
    first, last = stored_range(conn) or (FIRST_DAY, FIRST_DAY)
    earliest, latest = utc_day(earliest_at), utc_day(latest_at)
    if earliest > first and latest < last:
        return
    margin = timedelta(days=2)
    first, last = min(first, earliest - margin), max(last, latest + margin)
    rewrite(conn, stored_zone(conn) or "UTC", first=first, last=last)


def stored_zone(conn: sqlite3.Connection) -> str | None:
    """Return the IANA name of the zone that the tables were written for."""
    row = conn.execute("select value from settings where name = 'timezone'").fetchone()
    return row and row[0]


def stored_range(conn: sqlite3.Connection) -> tuple[date, date] | None:
    """Return the first and the last day of the tables."""
    first, last = conn.execute("select min(day), max(day) from local_days").fetchone()
    return (date.fromisoformat(first), date.fromisoformat(last)) if first else None


def rewrite(conn: sqlite3.Connection, zone_name: str, *, first: date, last: date) -> None:
    """Replace both tables by the days from `first` to `last`."""
    zone = ZoneInfo(zone_name)
    days = list(local_days(zone, first, last))
    conn.execute("delete from local_days")
    conn.execute("delete from zone_offsets")
    conn.executemany("insert into local_days (day, starts_at, ends_at) values (?, ?, ?)", days)
    conn.executemany(
        "insert into zone_offsets (starts_at, ends_at, offset_ms) values (?, ?, ?)",
        offsets(zone, days[0][1], days[-1][2]),
    )
    conn.execute(
        "insert or replace into settings (name, value) values ('timezone', ?)", (zone_name,)
    )


def local_days(zone: ZoneInfo, first: date, last: date) -> Iterator[tuple[str, int, int]]:
    """Return (day, starts_at, ends_at) of each local day, without days that the zone skipped."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 2)]
    for (day, starts_at), (_, ends_at) in pairwise((day, midnight(zone, day)) for day in days):
        if ends_at > starts_at:
            yield day.isoformat(), starts_at, ends_at


def midnight(zone: ZoneInfo, day: date) -> int:
    """Return the instant (ms) at which a local day begins, also where midnight does not exist."""
    # Eastern Canada set clocks back at 00:01 until 2010: the repeated hour belongs to the new day.
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=zone))


def offsets(zone: ZoneInfo, starts_at: int, ends_at: int) -> Iterator[tuple[int, int, int]]:
    """Return (starts_at, ends_at, offset_ms) of each period between two changes of the offset."""
    # No zone has changed its offset twice within a day.
    step, started_at, instant = 24 * 3_600_000, starts_at, starts_at
    current = offset(zone, started_at)
    while instant < ends_at:
        after = min(instant + step, ends_at)
        if offset(zone, after) != current:
            change = first_change(zone, instant, after)
            yield started_at, change, current
            started_at = after = change
            current = offset(zone, started_at)
        instant = after
    yield started_at, ends_at, current


def first_change(zone: ZoneInfo, before: int, after: int) -> int:
    """Return the instant (ms) at which the offset changes between two instants."""
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if offset(zone, middle) == old else (before, middle)
    return after


def offset(zone: ZoneInfo, instant: int) -> int:
    """Return the zone's offset from UTC (ms) at an instant."""
    local = (EPOCH + timedelta(milliseconds=instant)).astimezone(zone)
    return (local.utcoffset() or timedelta()) // MILLISECOND


def utc_day(instant: int) -> date:
    """Return the UTC day of an instant (ms)."""
    return datetime.fromtimestamp(instant / 1000, UTC).date()


def milliseconds(moment: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970, UTC."""
    return (moment - EPOCH) // MILLISECOND
