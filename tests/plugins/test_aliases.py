"""The user's own names for accounts and client keys: shown everywhere, stored nowhere else."""

import io
import json
import re
from contextlib import closing

import httpx
import pytest

from demo.fake_proxy import FakeProxy, serving
from ledger.aliases import table_rows, update
from ledger.settings import Aliases
from quota.report import print_quotas
from tests.support.browsing import opened, picture
from tests.support.brute import Ledger
from tests.support.home import EVENTS, KEY, Home, eventually
from tests.support.quota_ledger import add_account, add_windows, gating_window
from tests.support.quota_ledger import ledger as quota_ledger
from tests.support.sites import Site

NOW = 1_795_500_000_000
WHOLE_KEY = "sk-test-whole-key-of-a-phone-51c9"
LAPTOP = "sk-test-key-of-a-laptop-77aa"
TABLET = "sk-test-key-of-a-tablet-90fe"
NAMES = {
    "account_aliases": {"ann@example.com": "Ann Example", "claude:bob@example.com": "Bob, private"},
    "client_aliases": {"…77aa": "on the road", "...90fe": "on the road", WHOLE_KEY: "phone"},
}


def event(account: str, client: str, number: int, provider: str = "codex") -> bytes:
    """Return an event as the proxy sends it."""
    payload = json.loads((EVENTS / "written-from-source.jsonl").read_bytes().splitlines()[0])
    payload |= {
        "source": f"{account}@example.com",
        "auth_index": f"{account}-{provider}",
        "provider": provider,
        "api_key": client,
        "request_id": f"request-{number}",
    }
    return json.dumps(payload).encode()


def events() -> list[bytes]:
    """Return nine events: three clients of Ann, one of them also of Bob, who has two accounts."""
    uses = [
        *(("ann", client, "codex") for client in (WHOLE_KEY, LAPTOP, TABLET, "")),
        *(("bob", LAPTOP, provider) for provider in ("codex", "claude", "claude")),
        ("eve", WHOLE_KEY, "codex"),
        ("eve", LAPTOP, "codex"),
    ]
    return [
        event(account, client, number, provider)
        for number, (account, client, provider) in enumerate(uses)
    ]


def write(home, settings: dict) -> None:
    """Write the settings file."""
    home.data.parent.joinpath("config.json").write_text(json.dumps(settings))


def collect(home, proxy) -> None:
    """Fill a home's ledger with those events, and its settings with names."""
    write(home, NAMES)
    proxy.push(events())
    home.use(proxy)
    home.output = home.run("ingest", "--once")
    home.stop_clock()


@pytest.fixture
def named(home, proxy):
    """A home whose ledger holds those events, and whose settings name accounts and clients."""
    collect(home, proxy)
    return home


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard on such a home, for tests that only read."""
    home = Home(tmp_path_factory.mktemp("named"))
    with serving(FakeProxy(key=KEY, retention=3600)) as proxy:
        collect(home, proxy)
    yield Site(home)
    home.end()


def values_of(home, column: str, view: str = "recent_requests") -> set[str]:
    """Return the distinct values of a column."""
    return {value for (value,) in home.query(f"select distinct {column} from {view}")}


ACCOUNTS = {"Ann Example", "bob@example.com", "Bob, private", "eve@example.com"}
CLIENTS = {"phone", "on the road", "(none)"}


def test_the_names_stand_in_every_view_in_place_of_the_labels(site):
    named = site.home
    for view in ("recent_requests", "named_credentials", "accounts_by_window"):
        assert values_of(named, "account", view) == ACCOUNTS
    for view in ("recent_requests", "named_clients", "clients_by_window"):
        assert values_of(named, "client", view) == CLIENTS
    labels = {"ann@example.com", "bob@example.com", "eve@example.com"}
    assert values_of(named, "label", "known_accounts") == labels
    assert values_of(named, "label", "known_clients") == {"…51c9", "…77aa", "…90fe"}


def test_no_view_shows_a_label_that_has_a_name(site):
    named = site.home
    views = named.query("select name from sqlite_schema where type = 'view'")
    for (view,) in views:
        columns = {name for (name,) in named.query("select name from pragma_table_info(?)", view)}
        for column in columns & {"account", "client", "email"}:
            where = "window in ('30d', 'today')" if "window" in columns else "true"
            rows = named.query(f"select distinct {column} from {view} where {where}")
            assert not {value for (value,) in rows} & {"ann@example.com", "…51c9", "…77aa"}, view


def test_keys_of_one_name_count_together_and_accounts_stay_apart(site):
    named = site.home
    parameters = {"window": "24h", "_shape": "array"}
    clients = site.json("/ledger/clients.json", **parameters)
    assert {row["client"]: row["requests"] for row in clients} == {
        "phone": 2,
        "on the road": 6,
        "(none)": 1,
    }
    view = named.query("select client, requests from clients_by_window where window = '24h'")
    assert sorted(view) == sorted((row["client"], row["requests"]) for row in clients)
    accounts = site.json("/ledger/accounts.json", **parameters)
    assert sorted((row["account"], row["requests"]) for row in accounts) == [
        ("Ann Example", 4),
        ("Bob, private", 2),
        ("bob@example.com", 1),
        ("eve@example.com", 2),
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({"client": "on the road"}, 6, id="two-keys-of-one-name"),
        pytest.param({"client": "phone"}, 2, id="by-the-whole-key"),
        pytest.param({"client": "…77aa"}, 0, id="the-label-behind-a-name"),
        pytest.param({"account": "Ann Example"}, 4, id="account"),
        pytest.param({"account": "Bob, private"}, 2, id="one-address-at-two-providers"),
        pytest.param({"account": "Ann Example", "client": "on the road"}, 2, id="both"),
    ],
)
def test_a_filter_takes_all_that_has_the_name(site, filters, expected):
    parameters = {**filters, "window": "24h", "_shape": "array"}
    for query in ("summary", "hours", "days", "models", "series"):
        rows = site.json(f"/ledger/{query}.json", **parameters)
        assert sum(row["requests"] for row in rows) == expected, query
    assert len(site.json("/ledger/requests.json", **parameters)) == expected
    lines = httpx.get(
        f"{site.address}/export/events.jsonl", params=parameters, trust_env=False, timeout=120
    ).text
    assert len(lines.splitlines()) == expected


def test_the_page_the_api_and_the_reports_show_the_names(site):
    named = site.home
    sections = site.json("/-/page.json")["sections"]
    names = {(row[0], row[1]) for row in sections["filter_options"]["rows"]}
    assert {name for kind, name in names if kind == "account"} == ACCOUNTS
    assert {name for kind, name in names if kind == "client"} == CLIENTS
    api = site.json("/api/summary", range="24h")
    assert {row["account"] for row in api["accounts"]} == ACCOUNTS
    assert {row["client"] for row in site.json("/api/requests")["requests"]} == CLIENTS
    report = named.run("ledger", "report", "24h", "--format", "markdown")
    assert "Ann Example" in report
    assert "on the road" in report
    for text in (json.dumps(sections), json.dumps(api), report):
        assert "ann@example.com" not in text
        assert "…77aa" not in text


def test_reports_show_a_name_as_it_is(named):
    write(
        named, {"client_aliases": {"…77aa": "007"}, "account_aliases": {"ann@example.com": "a|b"}}
    )
    named.run("ledger", "init")
    for style in ("table", "markdown"):
        clients = named.run("ledger", "report", "24h", "--by", "client", "--format", style)
        assert re.search(r"\b007\b", clients)
        assert "7.00" not in clients
    assert "a\\|b" in named.run(
        "ledger", "report", "24h", "--by", "account", "--format", "markdown"
    )


def test_masked_pages_show_no_name_of_a_person(named):
    write(named, {**NAMES, "account_aliases": {**NAMES["account_aliases"], "eve@example.com": "E"}})
    named.run("ledger", "init")
    site = Site(named)
    body = json.dumps(site.json("/-/page.json", mask="1", client="phone"))
    for name in ("Ann Example", "Bob, private", "bob@example.com", "on the road", "phone"):
        assert name not in body
    sections = site.json("/-/page.json", mask="1")["sections"]
    masks = {row[1] for row in sections["filter_options"]["rows"] if row[0] == "client"}
    phone = next(mask for mask in masks if mask.startswith("p•••"))
    summary = site.json("/-/page.json", mask="1", client=phone)["sections"]["summary"]
    assert summary["rows"][0][summary["columns"].index("requests")] == 2
    assert summary["parameters"] is None
    assert "(none)" in masks


def test_a_change_is_shown_at_once_and_without_it_the_label_is_back(named):
    site = Site(named)
    server = named.start("ingest")
    eventually(lambda: named.query("select 1 from heartbeats where state = 'working'"))
    write(named, {"account_aliases": {"ann@example.com": "Anna"}})
    named.run("ledger", "init")
    assert values_of(named, "account") == {"Anna", "bob@example.com", "eve@example.com"}
    assert {row["client"] for row in site.json("/api/requests")["requests"]} == {
        "…51c9",
        "…77aa",
        "…90fe",
        "(none)",
    }
    write(named, {})
    named.run("ledger", "init")
    assert "ann@example.com" in values_of(named, "account")
    assert named.count("aliases") == 0
    assert server.poll() is None


def test_a_new_account_and_key_have_their_names_from_their_first_event_on(named, proxy):
    write(named, {"account_aliases": {"new@example.com": "New"}, "client_aliases": {KEY: "Key"}})
    proxy.push([event("new", KEY, 99)])
    named.run("ingest", "--once")
    assert named.query("select account, client from recent_requests order by id desc limit 1") == [
        ("New", "Key")
    ]


def test_a_whole_key_in_the_settings_is_found_nowhere_else(named, browser):
    site = Site(named)
    outputs = [named.output, named.run("ledger", "check"), named.run("ledger", "init")]
    outputs.append(named.run("ledger", "report", "24h"))
    show = "from ledger import settings; s = settings.load(); print(s, [s], str(s))"
    process = named.start("timeit", "-n1", "-r1", show)
    outputs.append(process.communicate(timeout=300)[0])
    assert "client_aliases='…'" in outputs[-1]
    answers = ["/", "/-/page.json", "/ledger", "/ledger/aliases", "/ledger/named_clients.json"]
    outputs += [
        httpx.get(f"{site.address}{path}", trust_env=False, timeout=120).text
        for path in (*answers, "/export/named_clients.csv", "/export/events.csv?window=24h")
    ]
    with opened(browser, site) as page:
        outputs.append(page.content())
    site.stop()
    outputs.append(site.server.stdout.read())
    assert [text[:200] for text in outputs if WHOLE_KEY in text] == []
    files = {file: file.read_bytes() for file in named.data.rglob("*") if file.is_file()}
    assert named.data / "ledger.db" in files
    assert [file for file, content in files.items() if WHOLE_KEY.encode() in content] == []
    [(name,)] = named.query("select name from aliases where alias = 'phone'")
    assert named.query("select 1 from known_clients where hex(key_hash) = ?", name) == [(1,)]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({WHOLE_KEY: ""}, id="empty"),
        pytest.param({WHOLE_KEY: "two\nlines"}, id="control-character"),
        pytest.param({WHOLE_KEY: "x" * 61}, id="too-long"),
        pytest.param({WHOLE_KEY: " spaced "}, id="space-around"),
        pytest.param({WHOLE_KEY: "\u202eright to left"}, id="direction"),
        pytest.param({"": "nobody"}, id="no-label"),
        pytest.param({WHOLE_KEY: 7}, id="number"),
        pytest.param([WHOLE_KEY], id="list"),
        pytest.param(f'{{"{WHOLE_KEY}": "x"', id="broken-json"),
    ],
)
@pytest.mark.parametrize("module", [("ledger", "init"), ("ingest", "--once")], ids=lambda m: m[0])
def test_a_malformed_name_is_refused_without_showing_a_key(home, names, module):
    if isinstance(names, str):
        home.env["LEDGER_CLIENT_ALIASES"] = names
    else:
        write(home, {"client_aliases": names})
    output = home.run(*module, status=1)
    assert output.count("\n") == 1
    assert output.startswith("The setting client_aliases ")
    assert "malformed" in output
    assert WHOLE_KEY not in output


def test_the_environment_names_them_as_json(named):
    named.env["LEDGER_ACCOUNT_ALIASES"] = json.dumps({"eve@example.com": "Eve"})
    for module in (("ledger", "init"), ("ingest", "--once")):
        named.run(*module)
        assert values_of(named, "account") == {"ann@example.com", "bob@example.com", "Eve"}


def test_quotas_show_the_name_and_without_it_the_label():
    with closing(quota_ledger(NOW)) as conn:
        account_id = add_account(conn, state="ok", observed_at=NOW, allowed=1)
        add_windows(conn, account_id, [gating_window("5h", 40.0)])
        for alias, expected in (("Ann", "Ann"), (None, "user0@example.com")):
            conn.execute("delete from aliases")
            if alias:
                sql = "insert into aliases values ('account', 'codex:user0@example.com', ?)"
                conn.execute(sql, (alias,))
            output = io.StringIO()
            print_quotas(conn, output)
            quotas = json.loads(output.getvalue())["quotas"]
            assert [quota["email"] for quota in quotas] == [expected]
            for view in ("account_verdicts", "quota_window_states", "quota_window_forecasts"):
                assert conn.execute(f"select account from {view}").fetchall() == [(expected,)], view


def test_a_name_equal_to_another_label_counts_with_it(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        update(ledger.conn, table_rows(Aliases({}, {"…pha1": "…ta22"}), tmp_path))
        one = {"at": NOW, "account": "ann", "model": "own-large", "input": 1}
        more = {"output": 1, "latency": 1, "failed": False}
        ledger.keep(
            [
                {**one, **more, "client": client, "id": client, "at": one["at"] + number}
                for number, client in enumerate(("alpha1", "beta22", "beta22"))
            ]
        )
        ledger.set_clock(one["at"] + 1000)
        rows_ = ledger.ask("clients", window="24h")
        assert [(row["client"], row["requests"]) for row in rows_] == [("…ta22", 3)]
        assert ledger.ask("summary", window="24h", client="…ta22")[0]["requests"] == 3


def test_names_can_be_chosen_and_masked_on_the_page(named, browser):
    site = Site(named)
    with opened(browser, site, "/?range=24h") as page:
        page.locator("#client").select_option("on the road")
        page.wait_for_function(
            "new URLSearchParams(location.search).get('client') === 'on the road'"
        )
        eventually(lambda: page.locator("#table-requests tbody tr").count() == 6)
        assert "Ann Example" in page.content()
        picture(page, "aliases")
        page.locator("#mask").click()
        page.wait_for_url("**mask=1*")
        eventually(lambda: "Ann Example" not in page.content())
        assert "on the road" not in page.content()
        assert "on+the+road" not in page.url
