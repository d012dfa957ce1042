"""One account for one login at its provider: by key, by file, by address, or by its user's word."""

import json
from typing import Any

import pytest

from ingest.parse import Usage, parse
from ingest.spool import Batch
from ingest.store import Store
from ledger import account_changes as changes
from ledger.account_changes import Account, ChangeRefused
from ledger.account_names import name_accounts
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from ledger.queries import queries
from quota.account_sync import link_credentials, store_listing
from quota.identity import from_listing
from quota.model import Reading
from quota.sources import ListedCredential
from quota.store import write_reading
from tests.support.home import DATA
from tests.support.quota_ledger import ledger, rows

NOW = 1_795_777_000_000
TWO_WORKSPACES = json.loads((DATA / "cases" / "d05-one-email-two-workspaces.json").read_text())
RENAMED = json.loads((DATA / "cases" / "d06-claude-renamed-or-second-proxy.json").read_text())
ANN = "ann@example.com"
PLUS, TEAM = f"{ANN} · plus", f"{ANN} · team"


class Site:
    """A ledger to which account lists and events come in turn."""

    def __init__(self, tmp_path) -> None:
        self.conn = ledger(NOW)
        self.conn.execute("insert into proxies (name) values ('second')")
        self._salt = load_salt(tmp_path)
        self._stores = {number: self._store(number) for number in (1, 2)}
        self._events = 0

    def take_list(self, entries: list[dict[str, Any]], *, proxy_id: int = 1) -> None:
        """Link the accounts of a proxy's list."""
        credentials = [ListedCredential(c, "print") for c in map(from_listing, entries) if c]
        accounts = link_credentials(self.conn, proxy_id, credentials)
        store_listing(self.conn, accounts, "management")

    def event(self, *, proxy_id: int = 1, **fields: Any) -> None:
        """Collect an event."""
        self._events += 1
        event = {**TWO_WORKSPACES["events"][0], "request_id": f"{self._events:08}", **fields}
        usage = parse(json.dumps(event).encode())
        assert isinstance(usage, Usage)
        self._stores[proxy_id].write(Batch(self._events, "resp", NOW, [b""]), [usage])

    def names(self) -> list[str]:
        """Return the name of every account, in the order of their numbers."""
        found = rows(self.conn, "select account from named_accounts order by account_id")
        return [row["account"] for row in found]

    def requests(self) -> dict[str, int]:
        """Return the requests of every account by its name, as the query `accounts` has them."""
        found = self.ask("accounts", window="24h")
        return {row["account"]: row["requests"] for row in found}

    def ask(self, name: str, **parameters: str) -> list[dict[str, Any]]:
        """Return the rows of a canned query."""
        query = queries()[name]
        values = {**dict.fromkeys(query.parameters, ""), **parameters}
        cursor = self.conn.execute(query.sql, values)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def alias(self, name: str, alias: str) -> None:
        """Set an alias, as the settings do."""
        self.conn.execute("insert into aliases values ('account', ?, ?)", (name, alias))
        name_accounts(self.conn)

    def find(self, text: str) -> Account:
        """Return the account that a text names."""
        return changes.find_account(self.conn, text)

    def _store(self, proxy_id: int) -> Store:
        return Store(self.conn, proxy_id, self._salt, Prices({}))


@pytest.fixture
def site(tmp_path):
    """Return an empty ledger with two proxies."""
    opened = Site(tmp_path)
    yield opened
    opened.conn.close()


@pytest.fixture
def two(site):
    """Return a ledger with two workspaces of one address, each with one event."""
    site.take_list(TWO_WORKSPACES["auth_files"])
    for event in TWO_WORKSPACES["events"]:
        site.event(**event)
    return site


def entry(file: str, index: str, provider: str = "claude", **more: Any) -> dict[str, Any]:
    """Return an entry of an account list."""
    base = RENAMED["step1"]["auth_files"][0]
    return {**base, "id": file, "name": file, "auth_index": index, "provider": provider, **more}


def claude(index: str, *, source: str = ANN, **more: Any) -> dict[str, Any]:
    """Return the fields of an event of a Claude login."""
    return {"provider": "claude", "auth_index": index, "source": source, **more}


def codex(plan: str, index: str) -> dict[str, Any]:
    """Return an entry of an account list for one workspace of ann@example.com."""
    token = {"chatgpt_account_id": f"acct-{index}", "plan_type": plan}
    return entry(f"codex-{index}-{ANN}-{plan}.json", index, "codex", id_token=token)


def test_d05_one_email_two_workspaces(two):
    assert two.names() == [PLUS, TEAM]
    assert two.requests() == {PLUS: 1, TEAM: 1}
    for name in (PLUS, TEAM):
        (summary,) = two.ask("summary", window="24h", account=name)
        assert summary["requests"] == 1
        assert {row["account"] for row in two.ask("requests", account=name)} == {name}
    series = two.ask("account_series", window="24h", step="hour")
    assert {row["account"] for row in series if row["requests"]} == {PLUS, TEAM}
    options = [row["name"] for row in two.ask("filter_options") if row["kind"] == "account"]
    assert options == [PLUS, TEAM]


@pytest.mark.parametrize(
    ("name", "alias", "right"),
    [
        (ANN, "Ann", ["Ann · plus", "Ann · team"]),
        (f"codex:{ANN}", "Ann", ["Ann · plus", "Ann · team"]),
        ("codex-bbb-ann-team.json", "Ann team", [PLUS, "Ann team"]),
        ("2222222222222222", "Ann team", [PLUS, "Ann team"]),
        (TEAM, "Ann team", [PLUS, "Ann team"]),
        (f"codex:{TEAM}", "Ann team", [PLUS, "Ann team"]),
        (f"claude:{ANN}", "Ann", [PLUS, TEAM]),
    ],
)
def test_each_workspace_can_have_an_alias(two, name, alias, right):
    two.alias(name, alias)
    assert two.names() == right


def test_two_workspaces_of_one_plan_are_told_apart_by_their_files(site):
    site.take_list(
        [codex("team", "aaaa1111"), codex("team", "bbbb2222"), codex("plus", "cccc3333")]
    )
    assert site.names() == [f"{ANN} · team aaaa1111", f"{ANN} · team bbbb2222", PLUS]


def test_two_accounts_that_only_events_name_are_told_apart(site):
    site.event(auth_index="1111111111111111")
    assert site.names() == [ANN]
    site.event(auth_index="2222222222222222")
    assert site.names() == [f"{ANN} · 11111111", f"{ANN} · 22222222"]


def test_a_name_follows_the_plan(two):
    team = two.find(TEAM)
    reading = Reading(state=None, observed_at=NOW, plan_raw="business", plan_source="endpoint")
    write_reading(two.conn, team.id, reading)
    assert two.names() == [PLUS, f"{ANN} · business"]


def test_an_address_at_two_providers_keeps_its_name(two):
    two.take_list([*TWO_WORKSPACES["auth_files"], entry("claude-ann.json", "3333")])
    assert two.names() == [PLUS, TEAM, ANN]


def step(site: Site, number: int, *, proxy_id: int = 1, event_first: bool = False) -> None:
    """Link the account list and store the event of one step of the case."""
    case = RENAMED[f"step{number}"]
    event = claude(case["event_auth_index"])
    if event_first:
        site.event(proxy_id=proxy_id, **event)
    site.take_list(case["auth_files"], proxy_id=proxy_id)
    if not event_first:
        site.event(proxy_id=proxy_id, **event)


@pytest.mark.parametrize("event_first", [False, True])
@pytest.mark.parametrize("proxy_id", [1, 2])
def test_d06_claude_renamed_or_second_proxy(site, proxy_id, event_first):
    step(site, 1)
    step(site, 2, proxy_id=proxy_id, event_first=event_first)
    assert site.names() == [ANN]
    assert site.requests() == {ANN: 2}
    # The quota worker polls accounts: one is asked once.
    assert len(rows(site.conn, "select * from account_poll_states")) == 1


@pytest.mark.parametrize("is_gone", [False, True])
def test_d06_the_same_file_at_a_second_proxy_or_port(site, is_gone):
    step(site, 1)
    if is_gone:
        site.take_list([])
    site.take_list([entry("claude-ann.json", "3333")], proxy_id=2)
    site.event(proxy_id=2, **claude("3333"))
    assert site.requests() == {ANN: 2}


def test_accounts_that_were_two_become_one_when_they_are_listed(site):
    site.event(**claude("1111"))
    site.event(**claude("2222"))
    assert len(site.names()) == 2
    site.take_list([entry("claude-ann.json", "2222")])
    assert site.requests() == {ANN: 2}


@pytest.mark.parametrize("provider", ["antigravity", "xai"])
def test_a_renamed_file_of_another_provider_is_one_account(site, provider):
    site.take_list([entry("old.json", "1111", provider)])
    site.event(provider=provider, auth_index="1111")
    site.take_list([entry("new.json", "2222", provider)])
    site.event(provider=provider, auth_index="2222")
    assert site.requests() == {ANN: 2}


def test_two_files_of_one_address_at_once_stay_two_accounts_at_every_proxy(site):
    files = [entry("claude-max.json", "1111"), entry("claude-team.json", "2222")]
    site.take_list(files)
    site.take_list([{**file, "auth_index": f"b{file['auth_index']}"} for file in files], proxy_id=2)
    assert site.names() == [f"{ANN} · max", f"{ANN} · team"]
    # Which of them is renamed is known, because the other one is still there.
    site.take_list([entry("claude-other.json", "3333"), files[1]])
    assert len(site.names()) == 2


def test_another_persons_login_under_an_old_file_name_is_another_account(site):
    site.take_list([entry("claude.json", "1111")])
    site.take_list([entry("claude.json", "2222", email="bob@example.com", label="bob@example.com")])
    assert site.names() == [ANN, "bob@example.com"]


def test_a_second_codex_workspace_at_a_second_proxy_is_no_rename(site):
    site.take_list([codex("plus", "1111")])
    site.take_list([codex("team", "2222")], proxy_id=2)
    assert site.names() == [PLUS, TEAM]


def test_an_event_without_an_index_goes_to_the_credential_of_its_address(site):
    files = [entry("claude-ann.json", "1111")]
    bob = "bob@example.com"
    site.take_list([*files, entry("claude-bob.json", "2222", email=bob)])
    site.event(**claude("1111"))
    site.event(**claude("2222", source=bob))
    site.event(**claude(""))
    site.event(**claude("", source=bob))
    site.event(**claude("", source=bob))
    assert site.requests() == {ANN: 2, bob: 3}
    indexes = {row["auth_index"] for row in rows(site.conn, "select auth_index from credentials")}
    assert indexes == {"1111", "2222"}


def test_events_without_an_index_before_any_credential_go_to_it_later(site):
    site.event(**claude(""))
    site.event(**claude("", source="bob@example.com"))
    assert site.requests() == {ANN: 1, "bob@example.com": 1}
    site.event(**claude("1111"))
    site.event(**claude(""))
    assert site.requests() == {ANN: 3, "bob@example.com": 1}
    site.take_list([entry("claude-bob.json", "2222", email="bob@example.com")])
    assert site.requests() == {ANN: 3, "bob@example.com": 1}


def test_an_event_without_an_index_of_one_of_two_workspaces_is_of_neither(two):
    two.event(auth_index="")
    assert sorted(two.requests().values()) == [1, 1, 1]
    assert two.requests()[PLUS] == two.requests()[TEAM] == 1


def everything(site: Site) -> list[list[dict[str, Any]]]:
    """Return every row that a change may touch, but not the changes."""
    tables = ("known_accounts", "credentials", "credential_files", "account_pins")
    return [rows(site.conn, f"select * from {table} order by 1, 2, 3") for table in tables]


def test_a_merge_is_exact_and_can_be_undone(two):
    before, total = everything(two), changes.sums(two.conn)
    plus, team = two.find(PLUS), two.find(TEAM)
    parts = [changes.sums(two.conn, each.id) for each in (plus, team)]
    changes.merge(two.conn, team, plus, now=NOW)
    assert two.names() == [ANN]
    assert two.requests() == {ANN: 2}
    assert changes.sums(two.conn, plus.id) == total
    assert tuple(map(sum, zip(*parts, strict=True))) == total
    # A later account list respects the merge, and so does an event of a new credential.
    two.take_list(TWO_WORKSPACES["auth_files"])
    assert two.requests() == {ANN: 2}
    changes.undo(two.conn, None, now=NOW)
    assert everything(two) == before
    assert [changes.sums(two.conn, each.id) for each in (plus, team)] == parts


def test_a_confirmed_merge_lasts(two):
    changes.merge(two.conn, two.find(TEAM), two.find(PLUS), now=NOW)
    changes.confirm(two.conn, None, now=NOW)
    with pytest.raises(ChangeRefused, match="neither undone nor confirmed"):
        changes.undo(two.conn, None, now=NOW)
    two.take_list([*TWO_WORKSPACES["auth_files"], codex("free", "3333")])
    assert two.names() == [PLUS, f"{ANN} · free"]


@pytest.mark.parametrize("credential", ["1111", "claude-a.json"])
def test_a_split_lasts_through_account_lists_and_can_be_undone(site, credential):
    lists = {1: [entry("claude-a.json", "1111")], 2: [entry("claude-b.json", "2222")]}
    for number, entries in lists.items():
        site.take_list(entries, proxy_id=number)
        site.event(proxy_id=number, **claude(entries[0]["auth_index"]))
    before = everything(site)
    changes.split(site.conn, site.find(ANN), credential, now=NOW)
    for number, entries in lists.items():
        site.take_list(entries, proxy_id=number)
    assert site.requests() == {f"{ANN} · a": 1, f"{ANN} · b": 1}
    changes.undo(site.conn, None, now=NOW)
    site.take_list(lists[1])
    assert site.requests() == {ANN: 2}
    assert everything(site) == before


def test_a_credential_can_be_split_off_after_a_confirmed_merge(two):
    changes.merge(two.conn, two.find(TEAM), two.find(PLUS), now=NOW)
    changes.confirm(two.conn, None, now=NOW)
    changes.split(two.conn, two.find(ANN), "2222222222222222", now=NOW)
    two.take_list(TWO_WORKSPACES["auth_files"])
    assert two.requests() == {PLUS: 1, f"{ANN} · team": 1}


def test_a_name_of_the_users_own_comes_first_and_can_be_undone(two):
    two.alias(TEAM, "an alias")
    changes.rename(two.conn, two.find("an alias"), "Work", now=NOW)
    assert two.names() == [PLUS, "Work"]
    changes.undo(two.conn, None, now=NOW)
    assert two.names() == [PLUS, "an alias"]


def test_a_forgotten_account_has_no_address_and_its_usage_stays(two):
    total, team = changes.sums(two.conn), two.find(TEAM)
    with pytest.raises(ChangeRefused, match="still lists"):
        changes.forget(two.conn, team, now=NOW)
    two.take_list(TWO_WORKSPACES["auth_files"][:1])
    changes.forget(two.conn, team, now=NOW)
    hidden = f"(forgotten #{team.id})"
    assert two.requests() == {PLUS: 1, hidden: 1} or two.requests() == {ANN: 1, hidden: 1}
    changes.undo(two.conn, None, now=NOW)
    assert two.requests() == {PLUS: 1, TEAM: 1}
    changes.forget(two.conn, team, now=NOW)
    changes.confirm(two.conn, None, now=NOW)
    assert changes.sums(two.conn) == total
    assert two.requests() == {ANN: 1, hidden: 1}
    kept = rows(two.conn, f"select label, account_key from known_accounts where id = {team.id}")
    assert kept == [{"label": f"forgotten #{team.id}", "account_key": None}]
    assert not rows(two.conn, f"select * from quota_accounts where account_id = {team.id}")


def test_a_forgotten_account_that_is_listed_again_is_back(two):
    two.take_list(TWO_WORKSPACES["auth_files"][:1])
    changes.forget(two.conn, two.find(TEAM), now=NOW)
    two.take_list(TWO_WORKSPACES["auth_files"])
    assert two.names() == [PLUS, TEAM]


def test_changes_of_one_account_are_undone_in_reverse(two):
    changes.rename(two.conn, two.find(TEAM), "Work", now=NOW)
    changes.merge(two.conn, two.find("Work"), two.find(PLUS), now=NOW)
    with pytest.raises(ChangeRefused, match="undo change 2 first"):
        changes.undo(two.conn, 1, now=NOW)
    changes.undo(two.conn, 2, now=NOW)
    changes.undo(two.conn, 1, now=NOW)
    assert two.names() == [PLUS, TEAM]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("nobody@example.com", "no account is called"), (ANN, "several accounts are called")],
)
def test_an_account_must_be_named_exactly(two, text, reason):
    with pytest.raises(ChangeRefused, match=reason):
        two.find(text)


def test_accounts_of_two_providers_cannot_be_merged(two):
    two.take_list([*TWO_WORKSPACES["auth_files"], entry("claude-ann.json", "3333")])
    with pytest.raises(ChangeRefused, match="two providers"):
        changes.merge(two.conn, two.find(f"claude:{ANN}"), two.find(PLUS), now=NOW)
