"""`python -m quota` as a process: it starts, reports errors, polls, answers requests and ends."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from demo.accounts import ALICE, ALICE_TEAM, CAROL, DAVE, ERIN, KIMI, write_files
from demo.http import Reply
from quota.report import SHAPE
from tests.support.events import burst
from tests.support.home import ROOT, eventually
from tests.support.quota_rig import urls

POOL = (ALICE, ALICE_TEAM, DAVE, CAROL, ERIN, KIMI)


@pytest.fixture
def quota_home(home, proxy):
    """Return a home with credential files and fake providers."""
    proxy.accounts = POOL
    home.use(
        proxy,
        LEDGER_PROVIDER_URLS=json.dumps(urls(proxy)),
        LEDGER_QUOTA_SOURCE="files",
        LEDGER_QUOTA_CALLS_PER_MINUTE="600",
    )
    write_files(home.data.parent / "auth", POOL)
    home.run("ledger", "init")
    return home


def printed(home, *options: str) -> list[dict]:
    """Run the worker once with --force; returns the printed quotas."""
    result = subprocess.run(
        [sys.executable, "-m", "quota", "--once", "--force", *options],
        cwd=ROOT,
        env=home.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(result.stdout)["quotas"]


def heartbeat(home) -> tuple[str, str | None] | None:
    """Return state and detail of the quota worker."""
    rows = home.count("heartbeats") and home.query(
        "select state, detail from heartbeats where worker = 'quota'"
    )
    return rows[0] if rows else None


@pytest.mark.parametrize("source", ["files", "auto", "management"])
def test_quotas_are_printed_in_the_shape_that_scripts_know(quota_home, proxy, source):
    quota_home.env["LEDGER_QUOTA_SOURCE"] = source
    quotas = printed(quota_home)
    assert [tuple(quota) for quota in quotas] == [SHAPE] * 6
    assert [quota["email"] for quota in quotas] == sorted(quota["email"] for quota in quotas)
    of = {(quota["email"], quota["plan"]): quota for quota in quotas}
    alice = of["alice@example.com", "plus"]
    assert (alice["allowed"], alice["limit_reached"]) == (1, 0)
    assert alice["primary_used_percent"] + alice["primary_remaining_percent"] == 100
    assert alice["secondary_used_percent"] == 62
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", alice["secondary_reset_at"])
    assert abs(alice["ts_epoch"] - time.time()) < 30
    # The team's answer has its week first; the keys do not go by position.
    assert of["alice@example.com", "team"]["secondary_used_percent"] == 44
    dave = of["dave@example.com", "plus"]
    assert (dave["allowed"], dave["limit_reached"]) == (0, 1)
    assert (dave["secondary_used_percent"], dave["secondary_remaining_percent"]) == (100, 0)
    erin = of["erin@example.com", "plus"]
    assert erin["allowed"] == 0
    assert erin["primary_used_percent"] is erin["secondary_remaining_percent"] is None
    assert erin["timestamp"] is erin["ts_epoch"] is None


def test_a_second_run_within_a_minute_polls_no_account(quota_home, proxy):
    quotas = printed(quota_home)
    polls = len(proxy.providers.calls)
    assert printed(quota_home) == quotas
    assert len(proxy.providers.calls) == polls


def test_force_beside_a_running_worker_lets_that_one_poll(quota_home, proxy):
    quota_home.start("quota")
    eventually(lambda: proxy.providers.count(KIMI) == 1)
    assert len(printed(quota_home)) == 6
    [(outcome,)] = quota_home.query("select outcome from quota_requests")
    assert outcome == "6 asked too recently"


def test_a_refused_key_is_tried_once_by_both_workers_in_total(quota_home, proxy):
    quota_home.env |= {
        "CLIPROXY_MANAGEMENT_KEY": "wrong-management-key",
        "LEDGER_QUOTA_SOURCE": "management",
    }
    quota_home.start("quota")
    quota_home.start("ingest")
    eventually(lambda: (heartbeat(quota_home) or ("",))[0] == "refused")
    assert (proxy.auth_attempts, proxy.auth_failures) == (1, 1)
    assert "refused the management key" in heartbeat(quota_home)[1]


def test_quota_alone_tries_a_wrong_key_once_over_three_restarts(quota_home, proxy):
    quota_home.env |= {
        "CLIPROXY_MANAGEMENT_KEY": "wrong-management-key",
        "LEDGER_QUOTA_SOURCE": "management",
    }
    for _ in range(3):
        quota_home.run("quota", "--once", status=1)
    assert (proxy.auth_attempts, proxy.auth_failures) == (1, 1)


def test_auto_reads_the_files_while_the_proxy_is_away(quota_home, proxy):
    with_files = quota_home.env | {"LEDGER_QUOTA_SOURCE": "auto", "CLIPROXY_PORT": "1"}
    quota_home.env = with_files
    quota_home.run("quota", "--once")
    assert proxy.providers.count(ALICE) == 1
    assert quota_home.query("select distinct source from quota_accounts") == [("files",)]


def test_a_missing_folder_without_a_key_is_reported_in_a_sentence(quota_home):
    quota_home.env |= {
        "LEDGER_QUOTA_SOURCE": "auto",
        "LEDGER_AUTH_DIR": str(quota_home.data.parent / "nowhere"),
        "CLIPROXY_MANAGEMENT_KEY": "",
    }
    quota_home.run("quota", "--once", status=1)
    state, detail = heartbeat(quota_home)
    assert state == "stopped"
    assert "no credential files at" in detail
    assert "auth_dir" in detail


def test_accounts_that_cannot_be_read_are_in_the_heartbeat(quota_home):
    quota_home.run("quota", "--once")
    assert heartbeat(quota_home)[1] == "1 of 6 accounts cannot be read: see quota_errors"


def test_off_polls_no_account_and_answers_requests_so(quota_home, proxy):
    quota_home.env["LEDGER_QUOTA_SOURCE"] = "off"
    with closing(sqlite3.connect(quota_home.data / "ledger.db")) as conn:
        conn.execute("insert into quota_requests (requested_at) values (1)")
        conn.commit()
    quota_home.run("quota", "--once")
    assert quota_home.query("select outcome from quota_requests") == [("quota_source is off",)]
    assert not proxy.providers.calls


def test_in_the_demo_no_request_is_made_before_the_fake_proxy_listens(quota_home, proxy):
    proxy.stop()
    procfile = (ROOT / "demo" / "Procfile").read_text()
    lines = dict(line.split(": ", 1) for line in procfile.splitlines())
    for worker in ("ingest", "quota"):
        quota_home.line(lines[worker])
    time.sleep(0.5)
    proxy.start()
    states = "select state, count(*) from quota_accounts group by state"
    eventually(lambda: ("ok", 5) in quota_home.query(states))
    assert quota_home.query("select 1 from quota_accounts where error_code = 'no_connection'") == []
    assert quota_home.count("gaps") == 0


def test_fake_providers_must_be_on_this_machine(quota_home):
    quota_home.env["LEDGER_PROVIDER_URLS"] = '{"codex": "https://codex.example.com"}'
    assert "provider_urls" in quota_home.run("quota", "--once", status=1)


def test_a_worker_that_waits_for_a_provider_ends_at_once(quota_home, proxy):
    proxy.providers.faults[ALICE] = Reply(200, b"{}", fault="hang")
    worker = quota_home.start("quota")
    eventually(lambda: proxy.providers.count(ALICE) == 1)
    worker.terminate()
    assert worker.wait(timeout=2) == 0
    # The request was not waited for.
    sql = "select last_attempt_at from quota_accounts where state = 'never'"
    assert quota_home.query(sql)[0] == (None,)


def test_a_hanging_provider_does_not_lock_the_ledger(quota_home, proxy):
    for account in POOL:
        proxy.providers.faults[account] = Reply(200, b"{}", fault="hang")
    quota_home.start("quota")
    eventually(lambda: proxy.providers.calls)
    with closing(sqlite3.connect(quota_home.data / "ledger.db", timeout=2)) as impatient:
        impatient.execute("begin immediate")
    proxy.push(burst(5000))
    quota_home.run("ingest", "--once")
    assert quota_home.count() == 5000
    # It hangs still.
    assert len(proxy.providers.calls) == 1
    assert quota_home.query("select 1 from quota_accounts where last_attempt_at") == []
