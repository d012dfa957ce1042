"""Quotas of several proxies: each has a poller, and a shared account is polled no more often."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from demo.accounts import ALICE, BOB, CAROL, KIMI, Account, write_files
from demo.fake_proxy import FakeProxy
from demo.http import Reply
from ledger import Unavailable
from ledger.data_folder import prepare
from ledger.keys import load_salt
from quota.account_list import listed_accounts
from quota.pace import Pace
from quota.poll import AccountPoller, PollLocks
from quota.refresh_requests import RefreshProgress
from quota.sources.management import ManagementApi
from quota.worker import PollerParts, ProxyPoller, Shared
from runtime.heartbeat import now
from runtime.loop import Job
from runtime.proxies import find
from runtime.refusals import Refusals, Refused
from tests.support.home import KEY, ROOT, eventually
from tests.support.quota_ledger import rows
from tests.support.quota_rig import EXPIRED, MINUTE, REVOKED, TIMEOUT_SECONDS, urls
from tests.support.several import entry, fake_proxies, use

HOME, OFFICE = (ALICE, CAROL), (BOB, KIMI)


class Two:
    """Pollers of two proxies on one ledger, stepped in turn, with a clock that the test sets."""

    def __init__(self, folder: Path, proxies: dict[str, FakeProxy]) -> None:
        self.data, self.proxies, self.at = folder / "data", proxies, now()
        self.conn = prepare(self.data, timezone="UTC")
        self.ids = {name: find(self.conn, name) for name in proxies}
        self.shared = Shared(
            RefreshProgress(listed_accounts(self.conn, self.ids.values())),
            PollLocks(),
            Pace(100_000),
        )
        self.pollers = {name: self.poller(name) for name in proxies}

    def poller(self, name: str) -> ProxyPoller:
        """Return a new poller for one proxy."""
        proxy, proxy_id = self.proxies[name], self.ids[name]
        refusals = Refusals(self.conn, proxy_id, load_salt(self.data).key(KEY))
        source = ManagementApi(
            address=f"http://127.0.0.1:{proxy.port}",
            key=KEY,
            refusals=refusals,
            should_stop=lambda: False,
            seconds=TIMEOUT_SECONDS,
        )
        account_poller = AccountPoller(
            self.conn,
            source,
            refresh_ms=5 * MINUTE,
            urls=urls(proxy),
            uniform=lambda low, high: (low + high) / 2,
        )
        parts = PollerParts(self.conn, proxy_id, source, account_poller, clock=lambda: self.at)
        return ProxyPoller(parts, shared=self.shared)

    def step(self, *names: str) -> None:
        """Step the pollers in turn until none has anything to do, as their loops would."""
        while sum([self.done(self.pollers[name]) for name in names or self.pollers]):
            pass

    def done(self, job: Job) -> int:
        """Step once; errors are passed to the job as the loop does."""
        try:
            return job.step()
        except (Unavailable, Refused) as error:
            job.failed(error)
            return 0

    def live(self, minutes: int) -> None:
        """Advance the clock in steps of half a minute."""
        for _ in range(minutes * 2):
            self.at += MINUTE // 2
            self.step()

    def ask(self, account: Account | None = None) -> int:
        """Add a refresh request; returns its id."""
        account_id = account and self.account(account)["account_id"]
        sql = "insert into quota_requests (requested_at, account_id) values (?, ?)"
        return self.conn.execute(sql, (self.at, account_id)).lastrowid

    def outcome(self, request_id: int) -> str | None:
        """Return the outcome of a request."""
        sql = "select outcome from quota_requests where id = ?"
        return self.conn.execute(sql, (request_id,)).fetchone()[0]

    def account(self, account: Account) -> dict:
        """Return the stored state of an account."""
        sql = """
          select distinct quota_accounts.*
          from credential_files
          join quota_accounts using (account_id)
          where name = ?
        """
        (row,) = rows(self.conn, sql, account.file)
        return row

    def count(self, account: Account) -> dict[str, int]:
        """Return how often an account was polled through each proxy."""
        return {name: one.providers.count(account, "usage") for name, one in self.proxies.items()}


@pytest.fixture
def two(tmp_path):
    """Return a function that makes pairs of pollers, each on its own fake proxies."""
    made = []

    def make(home: Iterable[Account] = HOME, office: Iterable[Account] = OFFICE) -> Two:
        served = fake_proxies("home", "office")
        proxies = served.__enter__()
        proxies["home"].accounts, proxies["office"].accounts = tuple(home), tuple(office)
        for proxy in proxies.values():
            proxy.providers._accounts = proxy.accounts
        made.append((served, pair := Two(tmp_path, proxies)))
        return pair

    yield make
    for served, pair in made:
        pair.conn.close()
        served.__exit__(None, None, None)


def test_a_request_is_answered_by_the_proxy_with_the_account(two):
    pair = two()
    pair.step()
    pair.at += 4 * MINUTE
    request = pair.ask(KIMI)
    pair.step("home")
    assert pair.outcome(request) is None
    pair.step("office")
    assert pair.outcome(request) == "1 refreshed"
    assert pair.proxies["home"].providers.count(KIMI) == 0


def test_a_request_about_one_proxys_account_does_not_wait_for_another_proxy(two):
    pair = two()
    pair.step()
    pair.at += 4 * MINUTE
    request = pair.ask(ALICE)
    pair.step("home")
    assert pair.outcome(request) == "1 refreshed"


def test_a_request_about_all_accounts_is_answered_when_all_were_polled(two):
    pair = two()
    pair.step()
    pair.at += 4 * MINUTE
    request = pair.ask()
    pair.step("home")
    assert pair.outcome(request) is None
    pair.step()
    assert pair.outcome(request) == "4 refreshed"
    again = pair.ask()
    pair.step()
    assert pair.outcome(again) == "4 asked too recently"


def test_a_proxy_that_is_away_delays_no_request_and_its_accounts_count_as_failed(two):
    pair = two()
    pair.step()
    pair.proxies["office"].stop()
    pair.at += 4 * MINUTE
    pair.step()
    every, one, other = pair.ask(), pair.ask(BOB), pair.ask(ALICE)
    pair.step("home")
    assert [pair.outcome(request) for request in (every, one, other)] == [
        "2 refreshed, 2 failed",
        "1 failed",
        "1 refreshed",
    ]
    pair.proxies["office"].start()
    request = pair.ask(BOB)
    pair.step("office", "home")
    assert pair.outcome(request) == "1 refreshed"


def test_a_request_about_an_account_of_no_proxy_is_answered_once_all_have_listed(two):
    pair = two()
    pair.step("home")
    sql = "insert into known_accounts (provider, label) values ('codex', 'nobody@example.com')"
    account_id = pair.conn.execute(sql).lastrowid
    request = pair.conn.execute(
        "insert into quota_requests (requested_at, account_id) values (?, ?)", (pair.at, account_id)
    ).lastrowid
    pair.step("home")
    assert pair.outcome(request) is None
    pair.step()
    assert pair.outcome(request) == "1 without a usable credential"


def test_an_account_of_two_proxies_is_polled_no_more_often_than_one_of_one(two):
    pair = two((ALICE, BOB), (ALICE, KIMI))
    pair.step()
    pair.live(60)
    shared, alone = pair.count(ALICE), pair.count(BOB)
    assert sum(shared.values()) == sum(alone.values()) == 13
    assert len(rows(pair.conn, "select * from quota_accounts")) == 3
    pair.at += 2 * MINUTE
    request = pair.ask(ALICE)
    pair.step()
    assert pair.outcome(request) == "1 refreshed"
    assert sum(pair.count(ALICE).values()) == 14


def test_the_other_proxys_login_is_polled_after_one_that_failed(two):
    pair = two((ALICE,), (ALICE,))
    pair.proxies["home"].providers.faults[ALICE] = REVOKED
    pair.step("home")
    assert pair.account(ALICE)["state"] == "needs_login"
    pair.live(2)
    assert pair.account(ALICE)["state"] == "ok"
    assert pair.count(ALICE) == {"home": 1, "office": 1}
    pair.proxies["office"].providers.faults[ALICE] = REVOKED
    pair.live(300)
    # Each was tried once more, and then both rest.
    assert pair.account(ALICE)["state"] == "needs_login"
    assert sum(pair.count(ALICE).values()) <= 6


def test_of_two_logins_of_which_one_fails_the_other_is_polled(two):
    pair = two((ALICE,), (ALICE,))
    pair.step()
    pair.proxies["home"].providers.faults[ALICE] = EXPIRED
    pair.live(120)
    counts = pair.count(ALICE)
    assert sum(counts.values()) <= 25
    assert counts["office"] >= 8


def test_an_account_that_another_poller_has_locked_is_not_polled(two):
    pair = two((ALICE,), (ALICE,))
    pair.step()
    pair.at += 6 * MINUTE
    account_id = pair.account(ALICE)["account_id"]
    assert pair.shared.locks.acquire(account_id)
    pair.step()
    before = pair.count(ALICE)
    pair.shared.locks.release(account_id)
    pair.step()
    assert sum(before.values()) == 1
    assert sum(pair.count(ALICE).values()) == 2


def test_an_account_is_disabled_only_where_every_proxy_says_so(two):
    pair = two((ALICE,), (ALICE,))
    pair.step()
    disabled = "update credential_files set disabled = 1 where proxy_id = ?"
    pair.conn.execute(disabled, (pair.ids["home"],))
    pair.pollers["office"] = pair.poller("office")
    pair.step("office")
    assert pair.account(ALICE)["disabled"] == 0


@pytest.fixture
def quota_pair(home):
    """Two fake proxies with accounts that the settings name, and fake providers."""
    with fake_proxies("home", "office") as proxies:
        proxies["home"].accounts, proxies["office"].accounts = HOME, OFFICE
        use(home, proxies, LEDGER_PROVIDER_URLS=json.dumps(urls(proxies["home"])))
        yield proxies


def printed(home, status: int = 0) -> set[str]:
    """Run the worker once with --force; returns the printed addresses."""
    done = subprocess.run(
        [sys.executable, "-m", "quota", "--once", "--force"],
        cwd=ROOT,
        env=home.env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    return {quota["email"] for quota in json.loads(done.stdout)["quotas"]}


def test_the_quotas_of_all_proxies_are_printed(home, quota_pair):
    assert printed(home) == {
        "alice@example.com",
        "carol@example.com",
        "bob@example.com",
        KIMI.file,
    }
    assert home.query("select worker, role, state from heartbeats order by worker") == [
        ("quota home", "quota", "stopped"),
        ("quota office", "quota", "stopped"),
    ]


def test_a_refused_key_leaves_the_other_proxys_quotas_fresh(home, quota_pair):
    quota_pair["office"].key = "another-management-key"
    assert "alice@example.com" in printed(home, status=1)
    assert quota_pair["office"].auth_failures == 1
    assert home.query("select count(*) from quota_accounts where state = 'ok'") == [(2,)]


def test_both_workers_try_a_wrong_key_once_in_total(home, quota_pair):
    quota_pair["office"].key = "another-management-key"
    home.start("quota")
    home.start("ingest")
    sql = "select worker, state from heartbeats order by worker"
    eventually(
        lambda: (
            home.count("heartbeats")
            and home.query(sql)
            == [
                ("ingest home", "working"),
                ("ingest office", "refused"),
                ("quota home", "working"),
                ("quota office", "refused"),
            ]
        )
    )
    assert (quota_pair["office"].auth_attempts, quota_pair["office"].auth_failures) == (1, 1)
    read = "select count(*) from quota_accounts where state = 'ok'"
    eventually(lambda: home.query(read) == [(2,)])


def test_a_hanging_provider_of_one_proxy_delays_no_account_of_another(home, quota_pair):
    for account in HOME:
        quota_pair["home"].providers.faults[account] = Reply(200, b"{}", fault="hang")
    home.start("quota")
    eventually(lambda: quota_pair["office"].providers.calls)
    read = "select count(*) from quota_accounts where state = 'ok'"
    eventually(lambda: home.count("quota_accounts") and home.query(read) == [(2,)], within=15)
    # They were read while the first of the others hangs still.
    eventually(lambda: quota_pair["home"].providers.calls)
    assert len(quota_pair["home"].providers.calls) == 1
    assert home.query("select 1 from quota_accounts where error_code is not null") == []


def test_the_accounts_of_a_removed_proxy_are_no_longer_shown(home, quota_pair):
    printed(home)
    use(home, {"home": quota_pair["home"]})
    assert len(printed(home)) == 2
    assert home.query("select distinct proxy_id from credential_files") == [(1,)]
    assert home.query("select worker from heartbeats") == [("quota",)]


def test_each_proxy_has_credential_files_of_its_own(home, quota_pair, tmp_path):
    folders = {"home": tmp_path / "a", "office": tmp_path / "b"}
    for name, folder in folders.items():
        write_files(folder, quota_pair[name].accounts)
    listed = [
        entry(name, proxy.port, auth_dir=str(folders[name])) for name, proxy in quota_pair.items()
    ]
    home.env |= {"LEDGER_PROXIES": json.dumps(listed), "LEDGER_QUOTA_SOURCE": "files"}
    quota_pair["home"].providers._accounts = HOME + OFFICE
    printed(home)
    assert home.query("select proxy_id, count(*) from credential_files group by 1") == [
        (1, 2),
        (2, 2),
    ]
    assert home.query("select distinct source from quota_accounts") == [("files",)]


def test_files_without_a_folder_are_refused_in_a_sentence(home, quota_pair):
    home.env["LEDGER_QUOTA_SOURCE"] = "files"
    message = home.run("quota", "--once", status=1)
    assert message == "quota_source is files, but the proxy home has no auth_dir.\n"
