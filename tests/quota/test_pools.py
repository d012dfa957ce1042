"""When a pool runs out and is back: simulated pools whose answers are known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.queries import queries
from quota.decisions import decide_due
from quota.history import store_windows
from quota.pool_forecast import PoolAccount, PoolWindow, forecast_pool
from quota.pools import VALID_MS
from tests.support.brute import HOUR, NOW
from tests.support.home import set_clock
from tests.support.quota_ledger import add_account, add_windows, ledger, limit

WEEK = 7 * 24 * HOUR
# Measured for so long that rounding is no matter.
EXACT = 10**15


def window(used: float, rate: float, **more) -> PoolWindow:
    """Return a weekly window that resets after everything else."""
    values = {"resets_at": NOW + WEEK, "measured_ms": EXACT, **more}
    return PoolWindow("7d", used, WEEK, percent_per_hour=rate, **values)


pools = st.lists(
    st.tuples(st.integers(0, 99), st.floats(1, 20, allow_nan=False)), min_size=1, max_size=12
)


@given(pools)
def test_a_pool_runs_out_when_its_load_has_used_what_is_left(pool):
    accounts = [PoolAccount([window(used, rate)]) for used, rate in pool]
    hours = sum(100 - used for used, _ in pool) / sum(rate for _, rate in pool)
    forecast = forecast_pool(accounts, NOW)
    if hours * HOUR < WEEK - HOUR:
        assert forecast.outcome == "runs_out"
        out_at = NOW + round(hours * HOUR)
        assert forecast.out_from is not None
        assert forecast.out_until is not None
        assert forecast.out_from - 100 <= out_at <= forecast.out_until + 100
        assert forecast.out_until - forecast.out_from <= 200
        assert forecast.returns_at == NOW + WEEK


@given(pools, st.integers(1, 5))
def test_accounts_of_different_sizes_count_by_their_tokens(pool, size):
    accounts = [PoolAccount([window(used, 5, size=1000.0)]) for used, _ in pool]
    large = PoolAccount([window(50, 5 / size, size=1000.0 * size)])
    tokens = sum(100 - used for used, _ in pool) * 1000 + 50 * 1000 * size
    hours = tokens / (5 * 1000 * (len(pool) + 1))
    forecast = forecast_pool([*accounts, large], NOW)
    if hours * HOUR < WEEK - HOUR:
        assert forecast.out_from is not None
        assert abs(forecast.out_from - NOW - hours * HOUR) < 1000


@given(pools)
def test_the_range_grows_with_the_error_of_rounding_and_has_the_answer(pool):
    rough = [PoolAccount([window(used, rate, measured_ms=HOUR)]) for used, rate in pool]
    exact = [PoolAccount([window(used, rate)]) for used, rate in pool]
    one, other = forecast_pool(exact, NOW), forecast_pool(rough, NOW)
    if one.outcome == "runs_out":
        assert one.out_from is not None
        assert other.out_from is not None
        assert other.out_from <= one.out_from + 100
        assert other.out_until is None or other.out_until + 100 >= one.out_from


def test_a_window_that_resets_in_time_makes_a_pool_last():
    # 10 % an hour for both: 50 hours of 5-hour windows fit into none of them.
    windows = [
        PoolWindow("5h", 10, 5 * HOUR, NOW + HOUR, percent_per_hour=9, measured_ms=EXACT)
        for _ in range(2)
    ]
    accounts = [PoolAccount([each]) for each in windows]
    assert forecast_pool(accounts, NOW).outcome == "lasts"
    heavy = [PoolAccount([replace(each, percent_per_hour=60)]) for each in windows]
    forecast = forecast_pool(heavy, NOW)
    assert forecast.outcome == "runs_out"
    # The last hour of the first cycle is not used up; both are used up in the second.
    assert forecast.out_from is not None
    assert NOW + HOUR < forecast.out_from < NOW + 3 * HOUR
    assert forecast.returns_at is not None
    assert forecast.returns_at <= NOW + 6 * HOUR


def test_a_spent_account_that_returns_in_time_takes_its_part():
    spent = PoolAccount([window(100, 0, resets_at=NOW + 2 * HOUR)], False, NOW + 2 * HOUR)
    working = PoolAccount([window(50, 10)])
    alone = forecast_pool([working], NOW)
    both = forecast_pool([working, spent], NOW)
    assert alone.out_from is not None
    assert both.out_from is not None
    assert abs(alone.out_from - NOW - 5 * HOUR) < 1000
    assert abs(both.out_from - NOW - 15 * HOUR) < 1000


def test_a_pool_without_a_usable_account_is_back_with_the_first():
    accounts = [PoolAccount([], False, NOW + n * HOUR if n else None) for n in (3, 2, 0)]
    forecast = forecast_pool(accounts, NOW)
    assert (forecast.outcome, forecast.returns_at) == ("exhausted", NOW + 2 * HOUR)


def test_what_is_not_known_is_no_forecast():
    assert forecast_pool([], NOW).reason == "no_verdict"
    assert forecast_pool([PoolAccount([window(5, 0)])], NOW).reason == "too_little_data"


def test_the_forecast_of_500_accounts_is_close_to_the_exact_one():
    accounts = [PoolAccount([window(n % 100, 4)]) for n in range(500)]
    hours = sum(100 - n % 100 for n in range(500)) / (4 * 500)
    forecast = forecast_pool(accounts, NOW)
    assert forecast.out_from is not None
    assert forecast.out_until is not None
    assert forecast.out_from <= NOW + hours * HOUR <= forecast.out_until
    assert forecast.out_until - forecast.out_from < 2 * HOUR


def test_the_forecast_of_a_pool_is_asked_for_and_ends():
    conn = ledger(NOW)
    for used in (40.0, 100.0):
        account_id = add_account(conn, state="ok", observed_at=NOW, allowed=1)
        resets_at = NOW + 5 * 24 * HOUR
        week = limit(used, "7d", window_seconds=WEEK // 1000, resets_at=resets_at)
        store_windows(conn, account_id, [replace(week, used_percent=0.0, observed_at=NOW - HOUR)])
        store_windows(conn, account_id, [week])
    conn.execute("update quota_accounts set allowed = 0 where account_id = 2")
    decide_due(conn, NOW)
    query = queries()["pool_forecast"].sql
    (row,) = rows_of(conn, query, provider="")
    assert (row["accounts"], row["usable"], row["outcome"]) == (2, 1, "runs_out")
    assert row["out_from"] > NOW
    assert row["returns_at"] == NOW + 5 * 24 * HOUR
    set_clock(conn, NOW + VALID_MS)
    (row,) = rows_of(conn, query, provider="")
    assert (row["outcome"], row["reason"], row["out_from"]) == ("none", "stale", None)
    conn.close()


@pytest.mark.parametrize(
    ("moved", "outside", "reason"),
    [
        (20.0, 0.0, None),
        (20.0, 15.0, None),
        (1.0, 0.0, "too_little_data"),
        (3.0, 2.0, "used_elsewhere"),
    ],
)
def test_the_tokens_left_are_a_range_or_a_reason(moved, outside, reason):
    conn = ledger(NOW)
    account_id = add_account(conn, state="ok", observed_at=NOW, allowed=1)
    add_windows(conn, account_id, [limit(60.0, "7d", resets_at=NOW + WEEK)])
    conn.execute("update quota_windows set last_at = observed_at, last_used = used_percent")
    decide_due(conn, NOW)
    price = 1000.0 if moved >= 2 else None
    values = {
        "window_id": 1,
        "first_at": NOW,
        "last_at": NOW,
        "moved_percent": moved,
        "requests": 5,
        "total_tokens": 1000 * round(moved - outside),
        "cost_microdollars": 4_000_000,
        "unpriced": 0,
        "tokens_per_percent": price,
        "outside_percent": outside,
    }
    conn.execute("update quota_forecasts set first_at = ?", (NOW,))
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    conn.execute(f"insert into quota_cycle_sums ({names}) values ({marks})", tuple(values.values()))
    (row,) = rows_of(conn, queries()["account_capacity"].sql, account="", proxy="")
    assert row["reason"] == reason
    if reason:
        assert row["tokens_low"] is row["tokens_high"] is row["dollars_low"] is None
    else:
        # 40 % are left, and a percent point was 1000 tokens of this ledger.
        assert row["tokens_low"] < 40_000 < row["tokens_high"]
        assert row["dollars_low"] < row["dollars_high"]
    conn.close()


def rows_of(conn, sql: str, **parameters: str) -> list[dict]:
    """Return the rows of a canned query."""
    cursor = conn.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
