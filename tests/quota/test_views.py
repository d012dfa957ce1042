"""The quota views show what the worker decided, and call it stale when it is over."""

import re
from dataclasses import asdict, replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import zones
from ledger.queries import metadata
from quota.decisions import decide_due
from quota.forecast import Cycle, forecast
from quota.history import Point, is_early, store_windows
from quota.model import Account, Window
from quota.verdict import Verdict, account_verdict, group_verdicts, sort_key
from tests.support.home import set_clock
from tests.support.quota_ledger import add_account, add_windows, ledger, rows

NOW = 1_790_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FEW = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ages = st.sampled_from([0, 1, MINUTE, HOUR - 1, HOUR, HOUR + 1, 3 * HOUR])
resets = st.one_of(
    st.none(),
    st.sampled_from([-HOUR, -120_001, -120_000, -119_999, -1, 0, 1, HOUR, 5 * HOUR, 7 * DAY]),
)
percents = st.one_of(
    st.none(), st.sampled_from([0.0, 99.5, 100.0, 103.4]), st.floats(0, 130, width=32)
)
flags = st.sampled_from([None, True, False])
keys = st.sampled_from(
    [
        ("account", "", "5h", True),
        ("account", "", "7d", True),
        ("account", "code", "month", True),
        ("feature", "codex_bengalfox", "5h", False),
        ("model", "opus", "7d", False),
        ("group", "3p", "5h", True),
        ("group", "3p", "7d", True),
        ("group", "gemini", "5h", True),
        ("spend", "individual", "month", True),
        ("spend", "extra_usage", "month", False),
    ]
)


@st.composite
def windows(draw: st.DrawFn) -> list[Window]:
    """Draw an account's windows, each key at most once."""
    result = []
    for scope, scope_key, window_key, gating in draw(st.sets(keys, max_size=5)):
        reset = draw(resets)
        window = Window(
            scope=scope,
            scope_key=scope_key,
            window_key=window_key,
            label=f"{scope} {scope_key} {window_key}",
            used_percent=draw(percents),
            resets_at=None if reset is None else NOW + reset,
            limit_reached=draw(flags),
            gating=gating,
            observed_at=NOW - draw(ages),
        )
        result.append(window)
    return result


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Draw an account's state."""
    return Account(
        state=draw(
            st.sampled_from(
                ["ok", "ok", "ok", "never", "needs_login", "token_expired", "auth_error"]
            )
        ),
        observed_at=draw(st.one_of(st.none(), ages.map(lambda age: NOW - age))),
        disabled=draw(st.sampled_from([False, False, False, True])),
        allowed=draw(flags),
        limit_reached=draw(flags),
        reached_type=draw(st.sampled_from([None, None, "rate_limit_reached"])),
        credits_has=draw(flags),
        credits_balance=draw(st.sampled_from([None, "0", "4.5"])),
    )


@pytest.fixture(scope="module")
def conn():
    """Return a ledger whose clock is at NOW."""
    opened = ledger(NOW)
    yield opened
    opened.close()


TABLES = (
    "quota_verdict_changes",
    "quota_refusals",
    "quota_windows",
    "quota_accounts",
    "credentials",
    "credential_files",
    "known_accounts",
)


def cleared(conn) -> None:
    """Delete every account."""
    for table in TABLES:
        conn.execute(f"delete from {table}")


def as_verdict(row: dict) -> Verdict:
    """Return a row as the verdict that it must equal."""
    usable = None if row["usable"] is None else bool(row["usable"])
    return Verdict(usable, row["reason"], row["effective_left"], row["next_usable_at"])


@given(cases=st.lists(st.tuples(accounts(), windows()), min_size=1, max_size=12))
@FEW
def test_the_views_show_the_verdicts(conn, cases):
    cleared(conn)
    cases_by_id = {}
    for account, account_windows in cases:
        account_id = add_account(conn, **asdict(account))
        add_windows(conn, account_id, account_windows)
        cases_by_id[account_id] = account, account_windows
    decide_due(conn, NOW)
    in_groups: dict[int, dict[str, Verdict]] = {}
    for row in rows(conn, "select * from group_verdicts"):
        in_groups.setdefault(row["account_id"], {})[row["group_name"]] = as_verdict(row)
    whole = {row["account_id"]: row for row in rows(conn, "select * from account_verdicts")}
    for account_id, (account, account_windows) in cases_by_id.items():
        assert in_groups[account_id] == group_verdicts(account, account_windows, now=NOW)
        expected = account_verdict(account, account_windows, now=NOW)
        row = whole[account_id]
        assert as_verdict(row) == expected
        assert (row["sort_group"], row["sort_value"]) == sort_key(expected, account.state)
    assert set(whole) == set(cases_by_id)


@st.composite
def observations(draw: st.DrawFn) -> list[Window]:
    """Draw the observations of one window, oldest first: increasing, or arbitrary."""
    steady = draw(st.booleans())
    moves = [1, 2, 3] if steady else [0, 0, 0.4, 1, 1.5, 2, 5, 30, -40]
    slips = [0] if steady else [0, 0, 0, 700, -40_000, 6 * HOUR]
    sizes = st.integers(8, 14) if steady else st.integers(0, 14)
    seconds = draw(st.sampled_from([18_000, 604_800, 2_628_000, None]))
    reset = NOW + draw(st.integers(-2, 50)) * HOUR // 2
    number = draw(sizes)
    steps = draw(st.lists(st.sampled_from([1, 15, 45, 90, 700]), min_size=number, max_size=number))
    at = NOW - sum(steps) * MINUTE - draw(st.sampled_from([0, 0, MINUTE, 3 * HOUR]))
    used, result = draw(st.sampled_from([0, 1, 7.5])), []
    for minutes in steps:
        at += minutes * MINUTE
        used = max(used + draw(st.sampled_from(moves)), 0)
        reset += draw(st.sampled_from(slips))
        window = Window(
            scope="account",
            window_key="x",
            label="x",
            window_seconds=seconds,
            used_percent=draw(st.sampled_from([used] * 9 + [round(used), None])),
            resets_at=draw(st.sampled_from([reset] * 9 + [None])),
            started=draw(st.sampled_from([True] * 9 + [None, False])),
            gating=True,
            observed_at=at,
        )
        result.append(window)
    return result


def cycle_of(conn, window_id: int) -> Cycle:
    """Return a window's current cycle from the tables, as input of the reference."""
    (window,) = rows(conn, "select * from quota_windows where id = ?", window_id)
    stored = rows(
        conn,
        "select observed_at, used_percent from quota_points where window_id = ? and cycle = ?",
        window_id,
        window["cycle"],
    )
    points = {row["observed_at"]: Point(row["observed_at"], row["used_percent"]) for row in stored}
    if window["last_at"]:
        points[window["last_at"]] = Point(window["last_at"], window["last_used"])
    if window["used_percent"] is None:
        points = {}
    return Cycle(
        list(points.values()),
        window["window_seconds"],
        window["last_resets_at"],
        None if window["started"] is None else bool(window["started"]),
        is_early(window["cycle"]),
    )


@given(histories=st.lists(observations(), min_size=1, max_size=8))
@FEW
def test_the_views_show_the_forecasts(conn, histories):
    cleared(conn)
    for history in histories:
        account_id = add_account(conn, state="ok")
        for window in history:
            store_windows(conn, account_id, [window])
    decide_due(conn, NOW)
    for row in rows(conn, "select * from quota_window_forecasts"):
        expected = forecast(cycle_of(conn, row["window_id"]), NOW)
        assert (row["outcome"], row["reason"]) == (expected.outcome, expected.reason)
        for name in ("percent_per_hour", "left_over_percent", "runs_out_at"):
            value = getattr(expected, name)
            # Python rounds halves to even, SQLite away from zero.
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1))


def history(seconds: int, resets_at: int, observations: list[tuple[float, float]]) -> list[Window]:
    """Return observations of a window by hours before NOW."""
    return [
        Window(
            scope="account",
            window_key="x",
            label="x",
            window_seconds=seconds,
            used_percent=used,
            resets_at=resets_at,
            started=True,
            gating=True,
            observed_at=NOW - round(hours * HOUR),
        )
        for hours, used in observations
    ]


WEEK, MONTH = 604_800, 2_592_000


@pytest.mark.parametrize(
    ("seconds", "reset_hours", "observations", "expected"),
    [
        pytest.param(
            18_000,
            2,
            [(1.1, 10), (0.99, 20), (0.5, 25), (0, 30)],
            ("lasts", None, pytest.approx(10 / 0.99), None, pytest.approx(70 - 20 / 0.99)),
            id="5h-looks-back-an-hour",
        ),
        pytest.param(
            WEEK,
            40,
            [(30, 10), (23.9, 11), (12, 20), (0, 34.9)],
            ("lasts", None, pytest.approx(1), None, pytest.approx(25.1)),
            id="a-week-looks-back-a-day",
        ),
        pytest.param(
            WEEK,
            100,
            [(30, 10), (23.9, 11), (12, 20), (0, 34.9)],
            ("runs_out", None, pytest.approx(1), NOW + round(65.1 * HOUR), None),
            id="a-week-runs-out",
        ),
        pytest.param(
            MONTH,
            300,
            [(90, 0), (71.9, 5), (40, 9), (0, 19.38)],
            ("lasts", None, pytest.approx(0.2), None, pytest.approx(80.62 - 60)),
            id="a-month-looks-back-three-days",
        ),
        pytest.param(
            WEEK,
            68,
            [(60, 80), (59, 0), (58.9, 0), (40, 2), (0, 15)],
            ("lasts", None, pytest.approx(15 / 59), None, pytest.approx(85 - 15 / 59 * 68)),
            id="a-reset-before-its-time-counts-from-itself",
        ),
        pytest.param(
            WEEK,
            167,
            [(0.5, 1), (0, 3)],
            ("none", "too_early", None, None, None),
            id="the-first-hours-of-a-week",
        ),
        pytest.param(
            WEEK,
            164,
            [(0.5, 1), (0, 4)],
            ("runs_out", None, pytest.approx(1), NOW + 96 * HOUR, None),
            id="after-the-first-hours-of-a-week",
        ),
        pytest.param(
            WEEK, 50, [(10, 5), (3, 9)], ("none", "stale", None, None, None), id="not-seen-lately"
        ),
    ],
)
def test_a_fixed_history_has_its_fixed_forecast(conn, seconds, reset_hours, observations, expected):
    cleared(conn)
    account_id = add_account(conn, state="ok")
    for window in history(seconds, NOW + reset_hours * HOUR, observations):
        store_windows(conn, account_id, [window])
    decide_due(conn, NOW)
    (row,) = rows(conn, "select * from quota_window_forecasts")
    names = ("outcome", "reason", "percent_per_hour", "runs_out_at", "left_over_percent")
    assert tuple(row[name] for name in names) == expected


QUERIES = metadata()["queries"]
QUOTA_QUERIES = [
    "quota",
    "usable_accounts",
    "quota_forecast",
    "quota_history",
    "quota_resets",
    "quota_errors",
]


def ask(conn, name: str, **arguments: str) -> list[dict]:
    """Run a canned query; missing parameters are empty, as Datasette has them."""
    sql = QUERIES[name]["sql"]
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)\b", sql), "") | arguments
    cursor = conn.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


@pytest.fixture
def filled(conn):
    """Three accounts: one with a past, one blocked, one logged out."""
    cleared(conn)
    zones.rewrite(conn, "Europe/Berlin", first=date(2026, 1, 1), last=date(2027, 1, 1))
    first, second = (add_account(conn, state="ok", plan_raw=None) for _ in "ab")
    for window in history(18_000, NOW + 2 * HOUR, [(1.1, 10), (0.99, 20), (0.5, 25), (0, 30)]):
        store_windows(conn, first, [window])
    for hours, used, resets_at in ((30, 40, -2), (3, 55, -2), (0, 100, 166)):
        (window,) = history(WEEK, NOW + resets_at * HOUR, [(hours, used)])
        store_windows(conn, second, [replace(window, label="weekly")])
    add_account(conn, state="needs_login", error_code="token_revoked", consecutive_failures=1)
    return conn


@pytest.mark.parametrize("name", QUOTA_QUERIES)
def test_every_quota_query_has_rows_and_a_description(filled, name):
    assert ask(filled, name)
    assert QUERIES[name]["title"]
    assert QUERIES[name].get("description") or QUERIES[name].get("description_html")


def test_the_quota_page_says_when_a_limit_resets_and_how_old_it_is(filled):
    first, second = ask(filled, "quota")
    assert (first["state"], first["left_percent"], first["age_seconds"]) == ("current", 70, 0)
    assert (first["resets_in"], first["resets_local"]) == ("2 h 0 min", "2026-09-21 18:13:20")
    assert (second["state"], second["resets_in"]) == ("used up", "6 d 22 h")
    assert ask(filled, "quota", account=second["account"]) == [second]


def test_usable_accounts_come_first_and_closed_ones_last(filled):
    decide_due(filled, NOW)
    result = [(row["usable"], row["reason"]) for row in ask(filled, "usable_accounts")]
    assert result == [("yes", "within_limits"), ("no", "window_spent"), ("no", "needs_login")]
    blocked = ask(filled, "usable_accounts", usable="no")[0]
    assert blocked["next_usable_minutes"] == 166 * 60
    assert blocked["blocked_by"] == "weekly"


def test_the_unused_percentage_at_a_reset_is_on_its_page(filled):
    (end,) = ask(filled, "quota_resets")
    assert (end["left_unused_percent"], end["ended_local"]) == (45, "2026-09-21 14:13:20")


def test_a_change_of_the_clocks_changes_no_forecast_and_no_history(filled):
    """In the night to 2026-10-25 Berlin's clocks go back from 03:00 to 02:00."""
    night = 1_792_879_200_000
    cleared(filled)
    account_id = add_account(filled, state="ok")
    for half in range(8):
        at = night + half * HOUR // 2
        (window,) = history(18_000, night + 4 * HOUR, [(0, half * 5)])
        store_windows(filled, account_id, [replace(window, observed_at=at)])
    set_clock(filled, night + 7 * HOUR // 2)
    decide_due(filled, night + 7 * HOUR // 2)
    (forecast,) = ask(filled, "quota_forecast")
    assert (forecast["percent_per_hour"], forecast["left_over_percent"]) == (10, 60)
    shown = [row["observed_local"][11:16] for row in reversed(ask(filled, "quota_history"))]
    assert shown == ["00:00", "00:30", "01:00", "01:30", "02:00", "02:30", "02:00", "02:30"]
    set_clock(filled, NOW)


def test_no_table_view_and_query_share_a_name(conn):
    sql = "select name from sqlite_schema where type in ('table', 'view')"
    assert {row["name"] for row in rows(conn, sql)} & set(QUERIES) == set()
