"""Stored readings: the newest, with its history; and the credentials that are one account."""

import itertools
from dataclasses import replace

import pytest

from quota.account_sync import link_credentials, store_listing
from quota.decisions import decide_due
from quota.identity import from_file, from_listing
from quota.model import Credential, Reading, Window
from quota.signals import add_unlisted_accounts
from quota.sources import ListedCredential
from quota.store import PollAttempt, write_reading
from tests.support.home import set_clock
from tests.support.quota_ledger import add_account, ledger, rows

AT = 1_790_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RESET = AT + 2 * HOUR


@pytest.fixture
def conn():
    """Return a ledger whose clock is at AT."""
    opened = ledger(AT)
    yield opened
    opened.close()


def window(used: float | None, key: str = "5h", **more) -> Window:
    """Return a gating window of the account."""
    fields = {"scope": "account", "label": key, "window_seconds": 18_000, "resets_at": RESET}
    return Window(**{**fields, "window_key": key, "used_percent": used, "gating": True, **more})


def reading(at: int, *windows: Window, **more) -> Reading:
    """Return a complete reading of an instant."""
    dated = tuple(replace(each, observed_at=at) for each in windows)
    fields = {"state": "ok", "complete": True, "http_status": 200, **more}
    return Reading(observed_at=at, windows=dated, **fields)


def partial(at: int, *windows: Window, **more) -> Reading:
    """Return the reading of event headers at an instant."""
    return reading(
        at,
        *(replace(each, source="header") for each in windows),
        **{"state": None, "complete": False, "http_status": None, **more},
    )


def attempt(at: int) -> PollAttempt:
    """Return a poll attempt at an instant."""
    return PollAttempt(at, at + 5 * MINUTE, "files", "files abc")


def current(conn) -> dict[str, float | None]:
    """Return the used percentage of each current window."""
    return {row["window_key"]: row["used_percent"] for row in rows(conn, WINDOWS)}


WINDOWS = "select * from quota_windows where retired_at is null order by window_key"
ACCOUNT = "select * from quota_accounts"
POINTS = "select observed_at, used_percent, cycle from quota_points order by observed_at"


def test_a_failed_poll_leaves_the_stored_values(conn):
    account_id = add_account(conn)
    good = reading(AT, window(40), allowed=True, plan_raw="plus", plan_source="endpoint")
    write_reading(conn, account_id, good, attempt(AT))
    failure = Reading(
        state="unavailable", observed_at=AT + 1, http_status=500, error_code="x", error_text="y"
    )
    for number in (1, 2):
        write_reading(conn, account_id, failure, attempt(AT + number))
    (row,) = rows(conn, ACCOUNT)
    assert (row["state"], row["http_status"], row["error_text"]) == ("unavailable", 500, "y")
    assert (row["consecutive_failures"], row["last_success_at"]) == (2, AT)
    assert (row["allowed"], row["plan_raw"], row["observed_at"]) == (1, "plus", AT)
    assert current(conn) == {"5h": 40}
    write_reading(conn, account_id, reading(AT + 3, window(41)), attempt(AT + 3))
    (row,) = rows(conn, ACCOUNT)
    assert (row["state"], row["error_code"], row["consecutive_failures"]) == ("ok", None, 0)
    assert (row["allowed"], row["plan_raw"]) == (None, "plus")


def test_a_complete_answer_retires_the_windows_it_does_not_have(conn):
    account_id = add_account(conn)
    write_reading(conn, account_id, reading(AT, window(40), window(7, "7d")), attempt(AT))
    write_reading(
        conn, account_id, reading(AT + 1, window(8, "7d"), complete=False), attempt(AT + 1)
    )
    assert current(conn) == {"5h": 40, "7d": 8}
    write_reading(conn, account_id, reading(AT + 5, window(9, "7d")), attempt(AT + 5))
    assert current(conn) == {"7d": 9}
    # An observation from before the answer does not restore it, one from after it does.
    write_reading(conn, account_id, partial(AT + 4, window(41)))
    assert current(conn) == {"7d": 9}
    write_reading(conn, account_id, partial(AT + 6, window(42)))
    assert current(conn) == {"5h": 42, "7d": 9}
    assert [row["used_percent"] for row in rows(conn, POINTS)] == [40, 7, 8, 9, 42]


@pytest.mark.parametrize("turn", list(itertools.permutations(range(4))))
def test_the_newest_observation_wins_in_any_order(conn, turn):
    account_id = add_account(conn)
    readings = [
        reading(AT, window(10), window(50, "7d"), allowed=True),
        partial(AT + MINUTE, window(12)),
        reading(AT + 2 * MINUTE, window(13), window(51, "7d"), limit_reached=False, allowed=True),
        partial(AT + 3 * MINUTE, window(14), allowed=False),
    ]
    for number in turn:
        write_reading(conn, account_id, readings[number])
    assert current(conn) == {"5h": 14, "7d": 51}
    (row,) = rows(conn, ACCOUNT)
    assert (row["allowed"], row["observed_at"]) == (0, AT + 3 * MINUTE)


def test_history_has_changes_and_a_point_every_half_hour(conn):
    account_id = add_account(conn)
    used = [10, 10, 10, 11, 11, 11, 11, 11, 11, 11]
    for number, percent in enumerate(used):
        at = AT + number * 10 * MINUTE
        write_reading(conn, account_id, reading(at, window(percent)))
    minutes = [(row["observed_at"] - AT) // MINUTE for row in rows(conn, POINTS)]
    assert minutes == [0, 30, 60, 90]


def test_a_drop_starts_a_cycle_only_when_it_is_observed_twice(conn):
    account_id = add_account(conn)
    for minute, used in ((0, 50), (5, 0), (10, 51), (15, 52), (20, 1), (25, 2), (30, 3)):
        write_reading(conn, account_id, reading(AT + minute * MINUTE, window(used)))
    points = [(row["used_percent"], row["cycle"] % 2) for row in rows(conn, POINTS)]
    first = points[0][1]
    # The swing at minute 5 is no part of it; the drop at minute 20 counts once it is confirmed.
    assert points == [(50, first), (51, first), (52, first), *((n, 1 - first) for n in (1, 2, 3))]
    set_clock(conn, AT + 31 * MINUTE)
    (end,) = rows(conn, "select * from quota_cycle_ends")
    assert (end["left_unused_percent"], end["early"]) == (48, 1)
    assert end["ended_at"] == AT + 20 * MINUTE


def test_a_cycle_that_ends_on_time_has_its_unused_percentage(conn):
    account_id = add_account(conn)
    write_reading(conn, account_id, reading(AT, window(30)))
    write_reading(conn, account_id, reading(AT + HOUR, window(45)))
    later = window(2, resets_at=RESET + 5 * HOUR)
    write_reading(conn, account_id, reading(RESET + MINUTE, later))
    set_clock(conn, RESET + 2 * MINUTE)
    (end,) = rows(conn, "select * from quota_cycle_ends")
    assert (end["used_percent"], end["left_unused_percent"], end["early"]) == (45, 55, 0)
    assert (end["ended_at"], end["unseen_seconds"]) == (RESET, 3600)
    set_clock(conn, RESET + 6 * HOUR)
    ends = rows(conn, "select left_unused_percent from quota_cycle_ends order by ended_at")
    assert ends == [{"left_unused_percent": 55}, {"left_unused_percent": 98}]
    (state,) = rows(conn, "select * from quota_window_states")
    assert (state["rolled_over"], state["left_percent"]) == (1, None)


def test_a_window_that_is_not_started_has_no_cycle(conn):
    account_id = add_account(conn)
    for minute in (0, 40):
        lazy = window(0, started=False, resets_at=AT + minute * MINUTE + 5 * HOUR)
        write_reading(conn, account_id, reading(AT + minute * MINUTE, lazy))
    assert rows(conn, "select distinct cycle from quota_points") == [{"cycle": 0}]
    assert rows(conn, "select * from quota_cycle_ends") == []
    decide_due(conn, AT)
    (forecast,) = rows(conn, "select * from quota_window_forecasts")
    assert forecast["reason"] == "not_started"


def add_event(conn, account_id: int, at: int, tokens: int, dollars: float) -> None:
    """Add one event of an account's credential."""
    conn.execute("insert into known_models (name) values ('m') on conflict do nothing")
    conn.execute(
        """
        insert into usage_events (
          occurred_at, event_hash, credential_id, model_id, failed, warm_up,
          input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
          unclassified_tokens, total_tokens, cost_microdollars
        )
        select :at, randomblob(16), id, 1, 0, 0, :tokens, 0, 0, 0, 0, 0, :tokens, :cost
        from credentials where account_id = :account_id
        """,
        {"at": at, "tokens": tokens, "cost": int(dollars * 1e6), "account_id": account_id},
    )


def test_a_percent_point_has_its_tokens_and_the_share_of_others(conn):
    account_id = add_account(conn)
    for minute, used in ((0, 10), (30, 14), (60, 18), (90, 20)):
        write_reading(conn, account_id, reading(AT + minute * MINUTE, window(used)))
    add_event(conn, account_id, AT + 20 * MINUTE, 30_000, 0.3)
    add_event(conn, account_id, AT + 80 * MINUTE, 20_000, 0.2)
    decide_due(conn, AT)
    (row,) = rows(conn, "select * from quota_cycle_usage")
    assert (row["moved_percent"], row["requests"], row["total_tokens"]) == (10, 2, 50_000)
    assert (row["tokens_per_percent"], row["dollars_per_percent"]) == (5000, pytest.approx(0.05))
    # Four points moved between minutes 30 and 60, with no event from minute 15 on: the event of
    # minute 20 may have ended in it. So nothing is outside.
    assert row["outside_share_percent"] == 0
    conn.execute("delete from usage_events where occurred_at < ?", (AT + HOUR,))
    (row,) = rows(conn, "select * from quota_cycle_usage")
    assert (row["outside_percent"], row["outside_share_percent"]) == (8, 80)
    conn.execute("delete from usage_events")
    (row,) = rows(conn, "select * from quota_cycle_usage")
    assert (row["tokens_per_percent"], row["outside_share_percent"]) == (None, 100)


def listed(name: str, **more) -> ListedCredential:
    """Return a credential of the proxy's listing."""
    entry = {"provider": "codex", "name": name, "account_type": "oauth", **more}
    return listed_credential(from_listing(entry))


def listed_credential(credential: Credential | None) -> ListedCredential:
    """Return a credential as a source lists it."""
    assert credential is not None
    return ListedCredential(credential, "abc")


TEAM = {"chatgpt_account_id": "11111111-demo", "plan_type": "team"}
OWN = {"chatgpt_account_id": "22222222-demo", "plan_type": "plus"}
ALICE = {"email": "alice@example.com"}
ACCOUNTS = "select id, label, account_key is not null as keyed from known_accounts order by id"
POINTED = "select auth_index, account_id from credentials order by auth_index"


def event_credential(conn, auth_index: str, provider: str = "codex") -> int:
    """Add a credential as the collector does: with an account of its own."""
    sql = "insert into known_accounts (provider, label) values (?, ?) returning id"
    label = f"{provider} {auth_index}"
    (account_id,) = conn.execute(sql, (provider, label)).fetchone()
    conn.execute(
        "insert into credentials (proxy_id, auth_index, provider, auth_type, account_id) "
        "values (1, ?, ?, 'oauth', ?)",
        (auth_index, provider, account_id),
    )
    return account_id


def test_two_credentials_of_one_workspace_and_person_are_one_account(conn):
    old, new = event_credential(conn, "aa"), event_credential(conn, "bb")
    write_reading(conn, new, partial(AT, window(70)))
    members = link_credentials(
        conn,
        1,
        [
            listed("codex-alice.json", auth_index="aa", id_token=TEAM, **ALICE),
            listed("codex-hash-alice-team.json", auth_index="bb", id_token=TEAM, **ALICE),
        ],
    )
    assert {account: len(of) for account, of in members.items()} == {old: 2}
    assert rows(conn, ACCOUNTS) == [{"id": old, "label": "alice@example.com", "keyed": 1}]
    assert [row["account_id"] for row in rows(conn, POINTED)] == [old, old]
    # The quota of the deleted account has moved to the other.
    assert current(conn) == {"5h": 70}


def test_one_address_in_two_workspaces_is_two_accounts(conn):
    first, second = event_credential(conn, "aa"), event_credential(conn, "bb")
    link_credentials(
        conn,
        1,
        [
            listed("codex-alice-team.json", auth_index="aa", id_token=TEAM, **ALICE),
            listed("codex-alice-plus.json", auth_index="bb", id_token=OWN, **ALICE),
        ],
    )
    assert [row["account_id"] for row in rows(conn, POINTED)] == [first, second]


def test_an_address_alone_merges_no_accounts(conn):
    link_credentials(conn, 1, [listed("claude-1.json", provider="claude", **ALICE)])
    link_credentials(
        conn,
        1,
        [
            listed("claude-1.json", provider="claude", **ALICE),
            listed("claude-2.json", provider="claude", **ALICE),
        ],
    )
    assert len(rows(conn, ACCOUNTS)) == 2


def test_files_and_listing_lead_to_the_same_accounts(conn):
    in_list = [
        listed("claude-alice.json", provider="claude", auth_index="cc", **ALICE),
        listed("kimi-1.json", provider="kimi", auth_index="dd"),
        listed("codex-alice.json", auth_index="aa", id_token=OWN, **ALICE),
    ]
    account = {"account_id": OWN["chatgpt_account_id"]}
    files = {
        "claude-alice.json": {"type": "claude", "organization_uuid": "org-demo", **ALICE},
        "kimi-1.json": {"type": "kimi", "user_id": "user-demo"},
        "codex-alice.json": {"type": "codex", **account, **ALICE},
    }
    in_files = [listed_credential(from_file(name, content)) for name, content in files.items()]
    first = set(link_credentials(conn, 1, in_list))
    assert set(link_credentials(conn, 1, in_files)) == first
    assert set(link_credentials(conn, 1, in_list)) == first
    assert len(rows(conn, ACCOUNTS)) == 3


def test_another_account_under_an_old_file_name_is_another_account(conn):
    (before,) = link_credentials(conn, 1, [listed("codex.json", id_token=OWN, **ALICE)])
    (after,) = link_credentials(
        conn, 1, [listed("codex.json", id_token=TEAM, email="bob@example.com")]
    )
    assert before != after


def test_the_values_of_a_listing_are_stored_and_deleted_with_the_file(conn):
    event_credential(conn, "aa")
    alice = listed(
        "codex-alice.json",
        auth_index="aa",
        id_token=OWN,
        disabled=True,
        next_retry_after="2026-09-21T15:13:20Z",
        **ALICE,
    )
    members = link_credentials(conn, 1, [alice, listed("qwen.json", provider="qwen")])
    store_listing(conn, members, "management")
    set_clock(conn, AT)
    sql = "select account, plan, state, disabled, cooldown_until from account_poll_states"
    assert rows(conn, sql) == [
        {
            "account": "alice@example.com",
            "plan": "plus",
            "state": "never",
            "disabled": 1,
            "cooldown_until": AT + HOUR,
        },
        {
            "account": "qwen.json",
            "plan": None,
            "state": "no_source",
            "disabled": 0,
            "cooldown_until": None,
        },
    ]
    store_listing(conn, link_credentials(conn, 1, []), "management")
    assert rows(conn, sql) == []


def test_accounts_known_from_events_only_have_a_state(conn):
    for account_id, at in (
        (event_credential(conn, "aa"), AT - DAY),
        (event_credential(conn, "bb", "openai-compatible-lumen"), AT - DAY),
        (event_credential(conn, "cc"), AT - 8 * DAY),
    ):
        add_event(conn, account_id, at, 1, 0)
    add_unlisted_accounts(conn)
    states = rows(conn, "select state from account_poll_states order by account_id")
    assert states == [{"state": "never"}, {"state": "no_source"}]
    decide_due(conn, AT)
    verdicts = rows(conn, "select usable, reason from account_verdicts order by account_id")
    assert verdicts == [
        {"usable": None, "reason": "never"},
        {"usable": None, "reason": "no_source"},
    ]


def test_a_proxy_in_a_container_is_matched_by_an_address_that_is_unique(conn):
    mine, twice = event_credential(conn, "aa"), event_credential(conn, "bb")
    again = event_credential(conn, "cc")
    name = "update known_accounts set label = ? where id = ?"
    conn.execute(name, ("alice@example.com", mine))
    conn.execute(name, ("bob@example.com", twice))
    conn.execute(name, ("bob@example.com", again))
    account = {"type": "codex", "account_id": "33333333-demo"}
    alice = listed_credential(from_file("codex-alice.json", account | ALICE))
    bob = listed_credential(from_file("codex-bob.json", account | {"email": "bob@example.com"}))
    members = link_credentials(conn, 1, [alice, bob], by_address=True)
    assert mine in members
    assert not {twice, again} & set(members)
    assert set(link_credentials(conn, 1, [alice, bob], by_address=True)) == set(members)
