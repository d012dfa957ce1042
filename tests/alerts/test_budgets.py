"""Budgets against brute force over raw events: zones, clock changes, weeks and month ends."""

import calendar
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.episodes import write_settings
from ledger.settings import Budget, effective_rules
from tests.support.brute import (
    DAY,
    HOUR,
    LONG_ONES,
    MINUTE,
    Ledger,
    cost,
    drawn,
    local,
    midnight,
)

NAMES = {"account": ["ann", "bob"], "client": ["alpha1", "beta22", ""]}
SHOWN = {"alpha1": "…pha1", "beta22": "…ta22", "": "(none)"}

# Daylight saving begins and ends, months and years end, and zones that are odd.
MOMENTS = [
    pytest.param("Europe/Berlin", "2026-03-29", id="berlin-spring"),
    pytest.param("Europe/Berlin", "2026-10-25", id="berlin-autumn"),
    pytest.param("America/New_York", "2026-11-01", id="new-york-autumn-first-of-month"),
    pytest.param("America/New_York", "2028-02-29", id="leap-day"),
    pytest.param("Asia/Shanghai", "2026-12-31", id="shanghai-new-year"),
    pytest.param("Asia/Kathmandu", "2026-11-30", id="kathmandu-05:45"),
    pytest.param("America/St_Johns", "2026-11-01", id="st-johns-03:30"),
    pytest.param("Australia/Lord_Howe", "2026-10-04", id="lord-howe-half-hour"),
    pytest.param("Africa/Cairo", "2026-04-24", id="cairo-without-a-midnight"),
    pytest.param("Pacific/Kiritimati", "2026-08-31", id="kiritimati-14:00"),
    pytest.param("Pacific/Pago_Pago", "2026-06-01", id="pago-pago--11:00"),
    pytest.param("UTC", "2026-11-25", id="utc"),
]


def budgets() -> list[Budget]:
    """Return a budget of every kind."""
    budgets = []
    for per in ("day", "week", "month"):
        for unit in ("tokens", "dollars"):
            budgets.append(Budget(per=per, **{unit: 1000.0}))
            budgets += [
                Budget(per=per, account=f"{name}@example.com", **{unit: 1000.0})
                for name in NAMES["account"]
            ]
            budgets += [Budget(per=per, client=SHOWN[name], **{unit: 1000.0}) for name in SHOWN]
    return budgets


def period(per: str, today: date) -> tuple[date, date]:
    """Return the first and last day of the current day, week or month."""
    if per == "day":
        return today, today
    if per == "week":
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=6)
    last = calendar.monthrange(today.year, today.month)[1]
    return today.replace(day=1), today.replace(day=last)


def spent(budget: Budget, events: list[dict], zone: str, today: date) -> float:
    """Return the sum over raw events."""
    first, last = period(budget.per, today)
    counted = [
        event
        for event in events
        if first <= local(event["at"], zone).date() <= last
        and budget.account in ("", f"{event['account']}@example.com")
        and budget.client in ("", SHOWN[event["client"]])
    ]
    if budget.tokens:
        return sum(event["input"] + event["output"] for event in counted)
    return sum(map(cost, counted)) / 1e6


def events(anchor: int):
    """Return a strategy for events around a midnight, many at a boundary of a bucket or a day."""
    near = st.integers(-3 * HOUR, 30 * HOUR)
    far = st.integers(-45 * DAY, 40 * DAY)
    quarter = st.integers(-300, 300).map(lambda n: n * 15 * MINUTE)
    edge = st.integers(-35, 35).flatmap(lambda n: st.integers(n * DAY - HOUR, n * DAY + HOUR))
    return drawn(
        most=60,
        at=(near | far | quarter | edge).map(lambda delta: anchor + delta),
        account=st.sampled_from(NAMES["account"]),
        model=st.sampled_from(["own-large", "unknown-model"]),
        client=st.sampled_from(list(SHOWN)),
    )


@pytest.mark.parametrize(("zone", "day"), MOMENTS)
def test_every_budget_equals_brute_force(zone, day):
    anchor = midnight(date.fromisoformat(day), zone)

    @given(data=st.data())
    @settings(LONG_ONES, max_examples=12)
    def holds(data):
        made = data.draw(events(anchor))
        now = anchor + data.draw(st.integers(-2 * HOUR, 26 * HOUR))
        today = local(now, zone).date()
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Ledger(Path(folder), zone, recent_from=anchor - 2 * DAY)) as ledger,
        ):
            ledger.keep(made[::2])
            ledger.keep(made[1::2])
            ledger.set_clock(now)
            configured = budgets()
            write_settings(ledger.conn, effective_rules({}), configured, now)
            sql = "select budget, spent, from_day, to_day, state from budget_states"
            spent_by = {row[0]: row[1:] for row in ledger.conn.execute(sql)}
            names_in_use = {event["account"] for event in made}, {event["client"] for event in made}
            for budget in configured:
                first, last = map(str, period(budget.per, today))
                amount = spent(budget, made, zone, today)
                row = spent_by[budget.title]
                assert row[:3] == (pytest.approx(amount, abs=1e-9), first, last), budget.title
                is_known = not (budget.account or budget.client) or (
                    budget.account.partition("@")[0] in names_in_use[0]
                    or budget.client == "(none)"
                    or budget.client in {SHOWN[name] for name in names_in_use[1]}
                )
                percent = amount / (budget.tokens or budget.dollars) * 100
                state = "spent" if percent >= 100 else "near" if percent >= 80 else "ok"
                assert row[3] == (state if is_known else "unknown name"), budget.title

    holds()


def test_a_budget_of_a_name_counts_every_key_and_account_that_bears_it(tmp_path):
    with closing(Ledger(tmp_path, "Europe/Berlin")) as ledger:
        now = midnight(date(2026, 11, 25), "Europe/Berlin") + 12 * HOUR
        common = {"model": "own-large", "latency": 1, "failed": False, "output": 0, "id": "x"}
        ledger.keep(
            [
                {**common, "at": now, "account": name, "client": client, "input": count}
                for name, client, count in [("ann", "alpha1", 1), ("bob", "beta22", 10)]
            ]
        )
        ledger.set_clock(now)
        sql = "insert into aliases (kind, name, alias) values (?, ?, 'ours')"
        ledger.conn.executemany(
            sql, [("account", "ann@example.com"), ("account", "bob@example.com")]
        )
        ledger.conn.executemany(sql, [("client", "…pha1"), ("client", "…ta22")])
        configured = [
            Budget(per="day", tokens=11, account="ours", name="a"),
            Budget(per="day", tokens=22, client="ours", name="c"),
            Budget(per="day", tokens=1, account="ann@example.com", name="gone"),
        ]
        write_settings(ledger.conn, effective_rules({}), configured, now)
        sql = "select budget, spent, percent, state from budget_states order by budget"
        assert ledger.conn.execute(sql).fetchall() == [
            ("a", 11, 100.0, "spent"),
            ("c", 11, 50.0, "ok"),
            ("gone", 0, 0.0, "unknown name"),
        ]


def test_budgets_are_the_same_when_old_events_are_deleted(tmp_path):
    zone = "Europe/Berlin"
    with closing(Ledger(tmp_path, zone)) as ledger:
        now = midnight(date(2026, 11, 30), zone) + 12 * HOUR
        common = {"model": "own-large", "latency": 1, "failed": False, "output": 7}
        ledger.keep(
            [
                {
                    **common,
                    "at": now - n * 7 * HOUR,
                    "account": "ann",
                    "client": "alpha1",
                    "input": n,
                    "id": str(n),
                }
                for n in range(200)
            ]
        )
        ledger.set_clock(now)
        write_settings(ledger.conn, effective_rules({}), budgets(), now)
        sql = "select budget, spent, unpriced from budget_states order by budget"
        before = ledger.conn.execute(sql).fetchall()
        cut = now // (7 * DAY) * 7 * DAY
        ledger.conn.execute("delete from usage_events where occurred_at < ?", (cut,))
        ledger.conn.execute("update rollup_state set raw_complete_from = ?", (cut,))
        assert ledger.conn.execute(sql).fetchall() == before
        assert any(amount for _, amount, _ in before)
