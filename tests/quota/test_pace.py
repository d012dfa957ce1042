"""Providers are asked in one pace for the whole pool, and not while they say to wait."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.accounts import ALICE, BOB, Account, write_files
from demo.fake_proxy import FakeProxy, serving
from demo.http import Reply
from quota.model import HeaderSignal, Reading, Refusal, Window
from quota.pace import MINUTE_MS, UNSPACED_CALLS, Pace
from quota.refresh_requests import add_request
from quota.schedule import DISABLED_INTERVAL_MS
from quota.signals import read_signal
from quota.store import store_reading
from tests.support.home import KEY, set_clock
from tests.support.quota_ledger import rows
from tests.support.quota_rig import HOUR, MINUTE, Rig

SECOND = 1000
POOL = tuple(
    Account("codex", f"user{n}@example.com", "plus", f"codex-user{n}.json") for n in range(30)
)


@pytest.fixture
def rig_of(tmp_path):
    """Return a function that makes a rig on a fake proxy of its own."""
    servers = []

    def make(*accounts, **more):
        server = serving(FakeProxy(key=KEY, accounts=accounts))
        servers.append((server, rig := Rig(tmp_path, server.__enter__(), accounts, **more)))
        return rig

    yield make
    for server, rig in servers:
        rig.close()
        server.__exit__(None, None, None)


def calls_of_a_pool(pace: Pace, accounts: int, *, step: int = SECOND) -> list[int]:
    """Return when each account of a pool is asked, by a worker that always wants to ask."""
    now, asked = 0, []
    while len(asked) < accounts:
        if pace.reserve(now):
            asked.append(now)
        else:
            now += step
    return asked


def test_a_round_of_500_accounts_takes_25_minutes():
    pace = Pace(20)
    asked = calls_of_a_pool(pace, 500)
    assert 24 * MINUTE <= asked[-1] <= 26 * MINUTE
    assert pace.round_ms(500) == 25 * MINUTE


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 3))))
def test_no_minute_has_more_calls_than_the_limit(limit, attempts):
    pace, now, made = Pace(limit), 0, Counter()
    for wait, calls in attempts:
        now += wait
        if pace.reserve(now, min(calls, limit)):
            made[now] += min(calls, limit)
    for start in made:
        assert sum(n for at, n in made.items() if start <= at < start + MINUTE_MS) <= limit


def test_calls_are_spread_but_for_the_first_few():
    asked = calls_of_a_pool(Pace(20), 200)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert min(gaps[UNSPACED_CALLS:]) >= 3 * SECOND


def test_a_clock_that_was_set_back_stops_no_call():
    pace = Pace(1)
    assert pace.reserve(10 * HOUR)
    assert pace.reserve(HOUR)


def test_calls_that_were_not_made_are_given_back():
    pace = Pace(2)
    assert pace.reserve(0, 2)
    pace.release(1)
    assert pace.reserve(30 * SECOND)


def test_intervals_ages_and_validity_follow_from_the_size_of_the_pool(rig_of):
    # 30 accounts at one call a minute: a round takes half an hour, and three rounds 90 minutes.
    rig = rig_of(*POOL, calls_per_minute=1)
    polls = rig.live(95 * MINUTE)
    for start, _ in polls:
        assert sum(start <= at < start + MINUTE for at, _ in polls) <= 1
    assert {account for _, account in polls} == set(POOL)
    gaps = [
        later - earlier
        for account in POOL
        for earlier, later in pairwise(at for at, polled in polls if polled == account)
    ]
    assert min(gaps) >= 25 * MINUTE
    assert rows(rig.conn, "select stale_ms from quota_staleness") == [{"stale_ms": 90 * MINUTE}]


def account_id(rig: Rig, account: Account) -> int:
    """Return the id of an account."""
    return rig.account(account)["account_id"]


def traffic(rig: Rig, account: Account, *, used: float = 5) -> None:
    """Store what the headers of an event say of an account."""
    window = Window(
        scope="account",
        window_key="5h",
        label="5h",
        used_percent=used,
        gating=True,
        source="header",
        observed_at=rig.at,
    )
    reading = Reading(state=None, observed_at=rig.at, windows=(window,))
    store_reading(rig.conn, account_id(rig, account), reading)


def test_accounts_that_traffic_keeps_fresh_are_asked_last(rig_of):
    rig = rig_of(*POOL[:10], calls_per_minute=1)
    rig.live(11 * MINUTE)
    busy = POOL[:3]
    asked = []
    for _ in range(7):
        for account in busy:
            traffic(rig, account)
        asked += [account for _, account in rig.live(MINUTE)]
    assert not set(asked) & set(busy)
    # They are not forgotten, however much traffic they have.
    for _ in range(60):
        for account in busy:
            traffic(rig, account)
        asked += [account for _, account in rig.live(MINUTE)]
    assert set(busy) <= set(asked)


def test_refresh_respects_a_running_retry_after(rig_of):
    rig = rig_of(ALICE, BOB)
    patient = Reply(429, b"{}", headers=(("retry-after", "3600"),))
    rig.proxy.providers.faults[ALICE] = patient
    rig.settle()
    rig.at += 10 * MINUTE
    request = add_request(rig.conn, now=rig.at)
    before = rig.proxy.providers.count(ALICE)
    rig.settle()
    assert rig.proxy.providers.count(ALICE) == before
    sql = f"select outcome from quota_requests where id = {request}"
    (row,) = rows(rig.conn, sql)
    assert row["outcome"] == "1 refreshed, 1 told to wait by the provider"
    # A restart does not forget it, and neither does a changed file.
    rig.poller = rig.restarted(force=True)
    write_files(rig.auth, [ALICE])
    rig.settle()
    assert rig.proxy.providers.count(ALICE) == before
    rig.at += 51 * MINUTE
    rig.settle()
    assert rig.proxy.providers.count(ALICE) == before + 1


def test_a_disabled_account_is_asked_rarely_and_says_when_it_comes_back(rig_of):
    rig = rig_of(ALICE, BOB)
    write_files(rig.auth, [ALICE], disabled=True)
    polls = [account for _, account in rig.live(13 * HOUR, step=10 * MINUTE)]
    assert polls.count(ALICE) == 3
    assert polls.count(BOB) > 50
    resets_at = rig.at + HOUR
    spent = Window(
        scope="account",
        window_key="7d",
        label="7d",
        used_percent=100,
        resets_at=resets_at,
        gating=True,
        observed_at=rig.at,
    )
    reading = Reading(state=None, observed_at=rig.at, windows=(spent,))
    store_reading(rig.conn, account_id(rig, ALICE), reading)
    rig.settle()
    set_clock(rig.conn, rig.at)
    sql = "select usable, reason, next_usable_at from account_verdicts where account_id = ?"
    assert rows(rig.conn, sql, account_id(rig, ALICE)) == [
        {"usable": 0, "reason": "disabled", "next_usable_at": resets_at}
    ]
    # Enabled again, it is asked at once.
    write_files(rig.auth, [ALICE])
    assert ALICE in [account for _, account in rig.live(MINUTE, step=30 * SECOND)]
    assert DISABLED_INTERVAL_MS == 6 * HOUR


def test_after_a_refusal_without_an_end_the_account_is_asked_sooner(rig_of):
    rig = rig_of(ALICE, refresh_ms=HOUR)
    rig.settle()
    rig.at += 5 * MINUTE
    assert rig.live(2 * MINUTE) == []
    refusal = Refusal(reason="usage_limit_reached", refused_at=rig.at)
    reading = Reading(state=None, observed_at=rig.at, refusals=(refusal,))
    store_reading(rig.conn, account_id(rig, ALICE), reading)
    assert [account for _, account in rig.live(2 * MINUTE)] == [ALICE]
    # Once: the poll has said what it knows.
    assert rig.live(10 * MINUTE) == []


def test_the_traffic_of_a_refusal_without_an_end_is_read_so():
    error = {"type": "usage_limit_reached"}
    signal = HeaderSignal(
        provider="codex", headers={}, failed=True, status_code=429, observed_at=1, error=error
    )
    reading = read_signal(signal)
    assert reading is not None
    assert [refusal.ends_at for refusal in reading.refusals] == [None]
