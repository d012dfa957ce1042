"""Random events, zones, clocks, windows, ranges and filters against brute force."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.brute import (
    DAY,
    HOUR,
    LENGTHS,
    LONG_ONES,
    MINUTE,
    NOTHING,
    Ledger,
    asked,
    drawn,
    local,
    midnight,
    span,
    summed,
)

# Daylight saving begins and ends, odd offsets, a skipped day, and an ordinary one.
MOMENTS = [
    pytest.param("Europe/Berlin", 1_774_746_000_000, id="berlin-spring"),
    pytest.param("America/New_York", 1_793_512_800_000, id="new-york-autumn"),
    pytest.param("Asia/Kathmandu", 1_795_500_000_000, id="kathmandu-05:45"),
    pytest.param("America/St_Johns", 1_793_512_800_000, id="st-johns-03:30"),
    pytest.param("Pacific/Apia", 1_325_239_200_000, id="apia-skips-a-day"),
    pytest.param("Australia/Lord_Howe", 1_791_043_200_000, id="lord-howe-half-hour"),
    pytest.param("UTC", 1_795_500_000_000, id="utc"),
]


def events(anchor: int):
    """Return events around an instant: most near it, some on a boundary, some after it."""
    near = st.integers(-3 * HOUR, 2 * HOUR)
    far = st.integers(-100 * DAY, 2 * DAY)
    edge = st.sampled_from([-x for x in LENGTHS.values()]).flatmap(
        lambda length: st.integers(length - 2 * HOUR, length + 2 * HOUR)
    )
    quarter = st.integers(-400, 8).map(lambda n: -(anchor % (15 * MINUTE)) + n * 15 * MINUTE)
    return drawn(
        most=40,
        at=(near | far | edge | quarter).map(lambda delta: anchor + delta),
        proxy=st.sampled_from(["north", "south"]),
        account=st.sampled_from(["ann", "bob"]),
        model=st.sampled_from(["own-large", "own-small", "unknown-model"]),
        client=st.sampled_from(["", "alpha1", "beta22"]),
    )


def by_hour(zone: str):
    """Key an event by its local hour and offset, as the hours query does."""

    def key(event):
        at = local(event["at"], zone)
        return f"{at:%Y-%m-%d %H:00}", at.utcoffset() // timedelta(minutes=1)

    return key


def check(
    ledger: Ledger, found: list, zone: str, asking: dict[str, str], proxies: Iterator[str]
) -> None:
    """Compare every query for one span, all its filters and both of them at once.

    Each is asked of the next of the `proxies`, or of all of them where that is none.
    """
    filters = [
        {},
        {"account": "ann@example.com"},
        {"model": "own-large"},
        {"client": "…pha1"},
        {"model": "own-small", "client": "…ta22"},
    ]
    assert asked(ledger.ask("by_proxy", **asking), "proxy") == summed(found, lambda e: e["proxy"])
    for chosen, proxy in zip(filters, proxies, strict=False):
        left = [
            event
            for event in found
            if proxy in ("", event["proxy"])
            and chosen.get("account") in (None, f"{event['account']}@example.com")
            and chosen.get("model") in (None, event["model"])
            and chosen.get("client") in (None, f"…{event['client'][-4:]}")
        ]
        given = {**asking, **chosen, "proxy": proxy}
        whole = summed(left, lambda _: 1).get(1, NOTHING)
        [row] = asked(ledger.ask("summary", **given), "window").values()
        assert row == whole, ("summary", given)
        hours = asked(ledger.ask("hours", **given), "hour", "utc_offset_minutes")
        assert hours == summed(left, by_hour(zone)), ("hours", given)
        days = asked(ledger.ask("days", **given), "day")
        assert days == summed(left, lambda e: f"{local(e['at'], zone):%Y-%m-%d}"), given
        named = {"account": lambda e: f"{e['account']}@example.com", "model": lambda e: e["model"]}
        named["client"] = lambda e: f"…{e['client'][-4:]}" if e["client"] else "(none)"
        for key, name in named.items():
            if key not in chosen:
                rows = asked(ledger.ask(f"{key}s", **given), key)
                assert rows == summed(left, name), (key, given)


@pytest.mark.parametrize(("zone", "anchor"), MOMENTS)
def test_every_span_and_filter_equals_brute_force(zone, anchor):
    @given(data=st.data())
    @settings(LONG_ONES, max_examples=6)
    def holds(data):
        made = data.draw(events(anchor))
        now = anchor + data.draw(st.integers(-HOUR, HOUR))
        recent_from = (anchor + data.draw(st.integers(-60 * HOUR, 2 * HOUR))) // HOUR * HOUR
        first = data.draw(st.integers(-40, 1))
        days = [local(now, zone).date() + timedelta(days=first + n) for n in (0, -first % 9)]
        proxies = cycle(["", "north", "", "south"])
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Ledger(Path(folder), zone, recent_from=recent_from)) as ledger,
        ):
            ledger.keep(made[::2])
            ledger.keep(made[1::2])
            ledger.set_clock(now)
            for window in ("today", *LENGTHS):
                start, end = span(now, zone, window)
                found = [event for event in made if start <= event["at"] < end]
                check(ledger, found, zone, {"window": window}, proxies)
            start, end = midnight(days[0], zone), midnight(days[1] + timedelta(days=1), zone)
            found = [event for event in made if start <= event["at"] < end]
            range_ = {"from": days[0].isoformat(), "to": days[1].isoformat()}
            if ledger.conn.execute(
                "select count(*) from local_days where day in (?, ?)", tuple(range_.values())
            ).fetchone() == (len(set(days)),):
                check(ledger, found, zone, range_, proxies)

    holds()
