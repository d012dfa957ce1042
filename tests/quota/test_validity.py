"""No verdict is shown as valid past its validity, and the traffic's refusals are in it at once."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.accounts import ALICE
from demo.fake_proxy import FakeProxy, serving
from ingest.parse import Usage, parse
from ingest.spool import Batch
from ingest.store import Store
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from ledger.queries import queries
from quota.decisions import decide_due
from quota.refusals import load_refusals
from quota.signals import take_signals
from tests.support.brute import HOUR, MINUTE, NOW
from tests.support.home import KEY, set_clock
from tests.support.quota_ledger import add_account, add_windows, ledger, limit, rows
from tests.support.quota_rig import Rig

SECOND = 1000
# How far the clocks of two processes may differ.
SKEW_MS = 5 * SECOND


@pytest.fixture
def rig(tmp_path):
    """Return a quota worker with one account, that was polled and is usable."""
    with serving(FakeProxy(key=KEY, accounts=(ALICE,))) as proxy:
        made = Rig(tmp_path, proxy, [ALICE])
        made.settle()
        yield made
        made.close()


def refuse(rig: Rig, at: int, *, number: int = 1) -> None:
    """Collect a generation that was refused with 429, as the collector does."""
    error = {"type": "usage_limit_reached", "resets_at": (at + HOUR) // 1000}
    event = {
        "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
        "tokens": {"total_tokens": 0},
        "failed": True,
        "fail": {"status_code": 429, "body": json.dumps({"error": error})},
        "auth_index": ALICE.auth_index,
        "auth_type": "oauth",
        "provider": "codex",
        "source": ALICE.email,
        "model": "gpt-5.5",
        "request_id": f"refused-{number}",
    }
    usage = parse(json.dumps(event).encode())
    assert isinstance(usage, Usage)
    store = Store(rig.conn, rig.proxy_id, load_salt(rig.data), Prices({}))
    store.write(Batch(number, "resp", at, [b""]), [usage])


def verdict(rig: Rig) -> dict:
    """Return the verdict that is stored."""
    (row,) = rows(rig.conn, "select usable, reason, decided_at from quota_verdicts")
    return row


def test_a_429_in_the_traffic_is_in_the_verdict_within_5_s(rig):
    assert verdict(rig)["usable"] == 1
    refused_at = rig.at + 20 * MINUTE
    rig.at = refused_at
    refuse(rig, refused_at)
    # The worker rests for a second between steps in which there was nothing to do.
    rig.live(3 * SECOND, step=SECOND)
    assert verdict(rig)["usable"] == 0
    assert 0 <= verdict(rig)["decided_at"] - refused_at <= 5 * SECOND


def test_a_restart_between_a_refusal_and_its_verdict_loses_neither(rig):
    rig.at += 20 * MINUTE
    refuse(rig, rig.at)
    # The worker is killed after it took the signal, before it decided.
    take_signals(rig.conn)
    assert verdict(rig)["usable"] == 1
    rig.poller = rig.restarted()
    rig.at += SECOND
    rig.poller.step()
    assert verdict(rig)["usable"] == 0
    (refusal,) = load_refusals(rig.conn, rig.account(ALICE)["account_id"])
    assert refusal.reason == "usage_limit_reached"


def asked(conn, name: str) -> list[dict]:
    """Return the rows of a canned query without filters."""
    query = queries()[name]
    cursor = conn.execute(query.sql, dict.fromkeys(query.parameters, ""))
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def is_shown_as_valid(conn) -> bool:
    """Return whether any place shows a verdict or a forecast; all must agree about the verdict."""
    (group,) = rows(conn, "select usable from group_verdicts")
    (account,) = rows(conn, "select usable from account_verdicts")
    (script,) = rows(conn, "select allowed as usable from account_quotas")
    (usable,) = asked(conn, "usable_accounts")
    (counts,) = rows(conn, "select sum(accounts) as n from account_counts where state = 'usable'")
    (following,) = asked(conn, "next_account") or [{"usable": "unknown"}]
    assert group == account == script
    words = {1: "yes", 0: "no", None: "unknown"}
    assert usable["usable"] == following["usable"] == words[group["usable"]]
    assert counts["n"] == (group["usable"] == 1)
    return group["usable"] is not None


steps = st.lists(
    st.tuples(
        # Forward and back: seconds, hours, days.
        st.sampled_from([1, 60, 3600, 86_400, -1, -60, -3600, -86_400]),
        st.sampled_from(["alive", "dead", "restarted"]),
    ),
    max_size=12,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_a_clock_forward_and_back_a_dead_worker_and_a_restart_show_no_verdict_past_its_end(moves):
    conn, now = ledger(NOW), NOW
    account_id = add_account(conn, state="ok", observed_at=NOW, allowed=1)
    add_windows(conn, account_id, [limit(40.0, resets_at=NOW + 2 * HOUR)])
    decide_due(conn, now)
    for seconds, worker in moves:
        now += seconds * SECOND
        set_clock(conn, now)
        if worker != "dead":
            decide_due(conn, now)
        (row,) = rows(conn, "select decided_at, valid_until, usable from quota_verdicts")
        is_valid = row["decided_at"] - SKEW_MS <= now < row["valid_until"]
        assert is_shown_as_valid(conn) == (is_valid and row["usable"] is not None)
        if worker != "dead":
            assert is_valid
            # Nothing that was decided for a later moment is left.
            assert row["decided_at"] <= now
        for forecast in asked(conn, "forecast_summary"):
            (kept,) = rows(conn, "select decided_at, valid_until from quota_forecasts")
            if not kept["decided_at"] - SKEW_MS <= now < kept["valid_until"]:
                assert forecast["outcome"] == "none"
        for pool in asked(conn, "pool_forecast"):
            (kept,) = rows(conn, "select decided_at, valid_until from quota_pool_forecasts")
            if not kept["decided_at"] - SKEW_MS <= now < kept["valid_until"]:
                assert pool["outcome"] == "none"
    conn.close()


def test_the_history_of_a_dead_worker_ends_with_its_last_validity():
    conn = ledger(NOW)
    account_id = add_account(conn, state="ok", observed_at=NOW, allowed=1)
    add_windows(conn, account_id, [limit(40.0, resets_at=NOW + 2 * HOUR)])
    decide_due(conn, NOW)
    (row,) = rows(conn, "select valid_until from quota_verdicts")
    set_clock(conn, NOW + 24 * HOUR)
    (history,) = rows(conn, "select until, usable from quota_verdict_history")
    assert history == {"until": row["valid_until"], "usable": 1}
    decide_due(conn, NOW + 24 * HOUR)
    changes = rows(conn, "select since, usable, reason from quota_verdict_changes order by since")
    assert [change["since"] for change in changes] == [NOW, row["valid_until"], NOW + 24 * HOUR]
    assert [change["reason"] for change in changes][1] == "not_decided"
    conn.close()
