"""Accounts are polled over real HTTP: with any answer, rarely, and one at a time."""

import json
import logging
import threading
from itertools import pairwise

import pytest

from demo.accounts import ALICE, BOB, CAROL, ERIN, FILES, file_content, write_files
from demo.fake_proxy import FakeProxy, serving
from demo.http import Reply, reply
from tests.support.home import KEY, set_clock
from tests.support.quota_ledger import rows
from tests.support.quota_rig import (
    DAY,
    EXPIRED,
    HOUR,
    MINUTE,
    REVOKED,
    TIMEOUT_SECONDS,
    Rig,
    digest,
)

CLOSED = reply({"detail": {"code": "deactivated_workspace"}}, 402)
CHALLENGE = Reply(
    403,
    b"<html><title>Just a moment...</title></html>",
    "text/html; charset=UTF-8",
    (("cf-mitigated", "challenge"), ("server", "cloudflare")),
)
PAGE = Reply(200, b"<html><title>Welcome</title></html>", "text/html")
TOO_MANY = Reply(429, b'{"error":{"type":"rate_limit_error"}}', headers=(("retry-after", "0"),))
HUGE = Reply(200, b'{"plan_type": "plus", "junk": "' + b"x" * 10_000_000 + b'"}')
FINE = b'{"plan_type": "plus", "rate_limit": null}'
ELSEWHERE = Reply(302, b"", headers=(("location", "http://127.0.0.1:1/elsewhere"),))
FAULTS = [
    pytest.param(EXPIRED, "token_expired", 401, 3, id="401-expired"),
    pytest.param(REVOKED, "needs_login", 401, 1, id="401-revoked"),
    pytest.param(CLOSED, "deactivated", 402, 1, id="402"),
    pytest.param(CHALLENGE, "blocked_network", 403, 3, id="403-html"),
    pytest.param(Reply(404, b"no"), "unavailable", 404, 3, id="404"),
    pytest.param(TOO_MANY, "rate_limited", 429, 3, id="429-retry-after-0"),
    pytest.param(Reply(500, b"{}"), "unavailable", 500, 3, id="500"),
    pytest.param(PAGE, "bad_response", 200, 3, id="200-html"),
    pytest.param(Reply(200, FINE, fault="hang"), "unavailable", None, 3, id="timeout"),
    pytest.param(Reply(200, FINE, fault="drip"), "unavailable", None, 3, id="slow-body"),
    pytest.param(Reply(200, FINE, fault="reset"), "unavailable", None, 3, id="reset"),
    pytest.param(ELSEWHERE, "bad_response", 302, 3, id="redirect"),
    pytest.param(HUGE, "bad_response", None, 3, id="10-mb"),
]
# How long an answer that never ends is waited for.
ENDLESS_SECONDS = 2.0
# Without jitter: at 5 minutes, then 10, then 20.
HALF_HOUR = 31 * MINUTE


@pytest.fixture
def rig_of(tmp_path):
    """Return a function that makes rigs, each on its own fake proxy."""
    made = []

    def make(*accounts, mode="files", **more):
        server = serving(FakeProxy(key=KEY, accounts=accounts))
        proxy = server.__enter__()
        made.append((server, rig := Rig(tmp_path / mode, proxy, accounts, mode=mode, **more)))
        return rig

    yield make
    for server, rig in made:
        rig.close()
        server.__exit__(None, None, None)


@pytest.mark.parametrize("mode", ["files", "management"])
@pytest.mark.parametrize(("fault", "state", "status", "calls"), FAULTS)
def test_a_fault_has_its_state_and_leaves_the_last_good_rows(
    rig_of, mode, fault, state, status, calls
):
    seconds = ENDLESS_SECONDS if fault.fault in ("hang", "drip") else TIMEOUT_SECONDS
    rig = rig_of(ALICE, BOB, mode=mode, seconds=seconds)
    rig.settle()
    good = rig.windows(ALICE)
    assert [row["window_key"] for row in good] == ["5h", "7d"]
    rig.proxy.providers.faults[ALICE] = fault
    polls = rig.live(HALF_HOUR)
    account = rig.account(ALICE)
    assert account["state"] == state
    assert account["http_status"] == status
    assert [who for _, who in polls].count(ALICE) == calls
    assert rig.windows(ALICE) == good
    # The other account was polled every five minutes, to the minute.
    times = [at for at, who in polls if who is BOB]
    assert len(times) == 6
    assert {later - sooner for sooner, later in pairwise(times)} == {5 * MINUTE}
    assert rig.account(BOB)["state"] == "ok"
    assert "1 of" in (rig.poller.status_note() or "")
    rig.proxy.providers.faults.clear()
    rig.live(7 * HOUR, step=HOUR)
    assert rig.account(ALICE)["state"] == "ok"
    assert rig.account(ALICE)["consecutive_failures"] == 0


def test_an_account_in_a_terminal_state_is_polled_again_when_its_file_changes(rig_of):
    rig = rig_of(ALICE)
    rig.proxy.providers.faults[ALICE] = REVOKED
    rig.settle()
    assert rig.account(ALICE)["state"] == "needs_login"
    assert rig.live(5 * HOUR, step=10 * MINUTE) == []
    rig.poller = rig.restarted()
    assert rig.live(30 * MINUTE) == []
    rig.proxy.providers.faults.clear()
    write_files(rig.auth, [ALICE], note="logged in again")
    assert len(rig.live(2 * MINUTE)) == 1
    assert rig.account(ALICE)["state"] == "ok"


@pytest.mark.parametrize("mode", ["files", "management"])
def test_no_account_is_polled_more_often_than_allowed(rig_of, mode):
    rig = rig_of(ALICE, CAROL, mode=mode, refresh_ms=MINUTE)
    rig.settle()
    polls = []
    for _ in range(20):
        rig.conn.execute("insert into quota_requests (requested_at) values (?)", (rig.at,))
        polls += rig.live(MINUTE, step=10_000)
    usage = [(at, who) for at, who in polls if who in (ALICE, CAROL)]
    for account, least in ((ALICE, MINUTE), (CAROL, 3 * MINUTE)):
        times = [at for at, who in usage if who is account]
        assert len(times) >= 20 * MINUTE // least - 2
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert min(gaps) >= least


def test_a_request_refreshes_now_and_is_answered(rig_of):
    rig = rig_of(ALICE, BOB, ERIN)
    rig.settle()
    assert rig.live(2 * MINUTE) == []
    alice = rig.account(ALICE)["account_id"]
    ask = "insert into quota_requests (requested_at, account_id) values (?, ?)"
    rig.conn.execute(ask, (rig.at, alice))
    rig.settle()
    rig.conn.execute(ask, (rig.at, None))
    rig.settle()
    rig.conn.execute(ask, (rig.at, alice))
    rig.settle()
    answers = rows(rig.conn, "select answered_at, outcome from quota_requests order by id")
    assert answers == [
        {"answered_at": rig.at, "outcome": "1 refreshed"},
        {"answered_at": rig.at, "outcome": "1 refreshed, 1 failed, 1 asked too recently"},
        {"answered_at": rig.at, "outcome": "1 asked too recently"},
    ]
    counts = [rig.proxy.providers.count(a) for a in (ALICE, BOB, ERIN)]
    assert counts == [2, 2, 2]


def test_a_day_of_polling_leaves_the_auth_folder_and_every_file_clean(rig_of, caplog):
    caplog.set_level(logging.DEBUG)
    accounts = (ALICE, CAROL, ERIN)
    rig = rig_of(*accounts)
    before = digest(rig.auth)
    polls = rig.live(DAY, step=5 * MINUTE)
    assert digest(rig.auth) == before
    counts = {account: [who for _, who in polls].count(account) for account in accounts}
    # Claude's plan is requested once a day, and a revoked login is polled rarely. A busy machine
    # may miss a few polls.
    allowed = {ALICE: 288, CAROL: 289, ERIN: 4}
    assert all(0.9 * most <= counts[account] <= most for account, most in allowed.items()), counts
    held = [file_content(account) for account in accounts]
    secrets = [held_[name].split(".")[-1] for held_ in held for name in SECRET_FIELDS]
    contents = [file.read_bytes() for file in rig.data.rglob("*") if file.is_file()]
    for secret in [*secrets, ALICE.account_id, "user-"]:
        assert not [text for text in contents if secret.encode() in text], secret
        assert secret not in caplog.text


SECRET_FIELDS = ("access_token", "refresh_token")


def test_a_half_written_file_is_read_again(rig_of):
    rig = rig_of(ALICE)
    rig.settle()
    file = rig.auth / ALICE.file
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    threading.Timer(0.08, file.write_bytes, (whole,)).start()
    rig.at += 6 * MINUTE
    rig.settle()
    assert rig.proxy.providers.count(ALICE) == 2
    file.write_bytes(b"")
    assert rig.live(20 * MINUTE, step=5 * MINUTE) == []
    assert len(rig.windows(ALICE)) == 2
    assert rows(rig.conn, "select count(*) as n from account_poll_states") == [{"n": 1}]
    file.write_bytes(whole)
    assert len(rig.live(2 * MINUTE)) == 1


def test_a_file_that_is_not_a_credential_is_ignored(rig_of):
    rig = rig_of(ALICE)
    (rig.auth / "cliproxyapi-usage-dashboard").mkdir()
    (rig.auth / "cliproxyapi-usage-dashboard" / "config.json").write_text('{"management_key": ""}')
    (rig.auth / "notes.json").write_text('["type"]')
    (rig.auth / "vertex-demo.json").write_text('{"type": "vertex", "project_id": "demo"}')
    (rig.auth / "codex-named-so.json").write_text('{"type": "qwen", "access_token": "fake"}')
    rig.settle()
    states = rows(rig.conn, "select provider, state from account_poll_states order by provider")
    assert states == [
        {"provider": "codex", "state": "ok"},
        {"provider": "qwen", "state": "no_source"},
        {"provider": "vertex", "state": "no_source"},
    ]
    assert len(rig.proxy.providers.calls) == 1


def test_a_disabled_account_is_polled_once_in_hours(rig_of):
    rig = rig_of(ALICE, BOB)
    write_files(rig.auth, [ALICE], disabled=True)
    rig.live(HOUR, step=MINUTE)
    assert rig.proxy.providers.count(ALICE) == 1
    set_clock(rig.conn, rig.at)
    sql = "select usable, reason from account_verdicts where account = 'alice@example.com'"
    assert rows(rig.conn, sql) == [{"usable": 0, "reason": "disabled"}]


def test_an_expired_token_is_not_sent(rig_of):
    rig = rig_of(ALICE)
    file = rig.auth / ALICE.file
    file.write_text(json.dumps(file_content(ALICE, valid_seconds=-60)))
    assert rig.live(HOUR, step=MINUTE) == []
    assert rig.account(ALICE)["state"] == "token_expired"
    file.write_text(json.dumps(file_content(ALICE)))
    assert len(rig.live(MINUTE)) == 1
    assert rig.account(ALICE)["state"] == "ok"


def test_a_credential_is_used_through_its_own_proxy_or_not_at_all(rig_of):
    rig = rig_of(ALICE, BOB)
    with serving(FakeProxy(key=KEY)) as way:
        write_files(rig.auth, [ALICE], proxy_url=f"http://127.0.0.1:{way.port}")
        write_files(rig.auth, [BOB], proxy_url="socks5://127.0.0.1:1")
        rig.settle()
        assert (way.providers.count(ALICE), rig.proxy.providers.count(ALICE)) == (1, 0)
    assert rig.account(ALICE)["state"] == "ok"
    bob = rig.account(BOB)
    assert (bob["state"], bob["error_code"]) == ("unavailable", "proxy_unusable")
    assert rig.proxy.providers.count(BOB) == 0


def test_no_request_is_sent_for_an_index_that_the_proxy_no_longer_lists(rig_of):
    rig = rig_of(ALICE, BOB, mode="management")
    rig.settle()
    before = len(rig.proxy.providers.calls)
    rig.proxy.accounts = (BOB,)
    rig.live(12 * MINUTE, step=30_000)
    calls = list(rig.proxy.providers.calls)[before:]
    assert {call.account for call in calls} == {BOB}
    assert not [call for call in calls if "$TOKEN$" in call.headers.get("authorization", "")]
    states = rows(rig.conn, "select account from account_poll_states")
    assert states == [{"account": "bob@example.com"}]


def test_a_slow_answer_ends_at_the_timeout(rig_of):
    rig = rig_of(ALICE, seconds=ENDLESS_SECONDS)
    rig.proxy.providers.faults[ALICE] = Reply(200, FINE * 100, fault="drip")
    rig.settle()
    assert rig.account(ALICE)["error_code"] == "timeout"


def test_a_longer_retry_after_is_respected(rig_of):
    rig = rig_of(ALICE)
    patient = Reply(429, b"{}", headers=(("retry-after", "7200"),))
    rig.proxy.providers.faults[ALICE] = patient
    rig.settle()
    assert rig.live(119 * MINUTE) == []
    assert len(rig.live(2 * MINUTE)) == 1


def test_another_login_of_the_same_account_is_polled_after_one_has_ended(rig_of):
    rig = rig_of(ALICE)
    over = file_content(ALICE) | {"access_token": "over-fake-0000000000000000"}
    (rig.auth / "codex-0-older-login.json").write_text(json.dumps(over))
    rig.settle()
    assert rig.account(ALICE)["state"] == "needs_login"
    assert len(rows(rig.conn, "select distinct account_id from credential_files")) == 1
    polls = rig.live(HOUR, step=5 * MINUTE)
    # After one try the login that works is polled, and stays the one that is polled.
    assert [who for _, who in polls] == [ALICE] * 12
    assert rig.account(ALICE)["state"] == "ok"
    rig.proxy.providers.faults[ALICE] = REVOKED
    assert len(rig.live(5 * HOUR, step=5 * MINUTE)) <= 3


def test_files_and_proxy_lead_to_the_same_quotas(rig_of):
    quotas = []
    for mode in ("files", "management"):
        rig = rig_of(*FILES, mode=mode)
        rig.settle()
        sql = """
          select label, plan_raw, scope, scope_key, window_key, round(used_percent), gating
          from quota_windows
          join quota_accounts using (account_id)
          order by 1, 2, 3, 4, 5
        """
        quotas.append([tuple(row.values()) for row in rows(rig.conn, sql)])
    assert quotas[0] == quotas[1]
    assert len(quotas[0]) == 21
