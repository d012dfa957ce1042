"""Several proxies in one ledger: sums across, and one of them alone, in queries and on the page."""

import itertools
import json
import sqlite3
import time
from contextlib import closing

import httpx
import pytest

from demo.traffic import Traffic
from ledger.queries import queries
from tests.support.browsing import card, drawn, number_in, opened, picture
from tests.support.brute import HOUR, Ledger, everything_holds
from tests.support.home import Home, eventually, set_clock
from tests.support.quota_ledger import add_account, add_windows, gating_window
from tests.support.quota_ledger import ledger as quota_ledger
from tests.support.several import fake_proxies, use
from tests.support.sites import Site

NOW = 1_795_500_000_000


def event(at: int, number: int, proxy: str, **more: object) -> dict:
    """Return an ordinary event of a proxy."""
    return {
        "at": at,
        "proxy": proxy,
        "account": "ann",
        "model": "own-large",
        "client": "alpha1",
        "input": 300,
        "output": 20,
        "latency": 1000 + number,
        "failed": False,
        "id": f"{proxy} {number}",
        **more,
    }


def events(*proxies: str) -> list[dict]:
    """Return sixty events over thirty days, of each proxy in turn."""
    return [
        event(NOW - n * 12 * HOUR, n, proxies[n % len(proxies)], failed=n % 7 == 0)
        for n in range(60)
    ]


def test_a_check_sees_a_rollup_of_another_proxy(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep(events("north", "south"))
        assert everything_holds(ledger)
        ledger.conn.execute("update total_rollup set proxy_id = 99 where proxy_id = 3")
        wrong = "select question from integrity_checks where not holds"
        assert ledger.conn.execute(wrong).fetchall() == [
            ("total_rollup = credential_rollup, of each proxy",)
        ]


def test_every_query_with_a_filter_takes_a_proxy(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        for name, query in queries().items():
            named = set(query.parameters)
            if named & {"account", "model", "client"}:
                assert "proxy" in named, name
                parameters = {"account": "ann@example.com"} if name == "account_latency" else {}
                assert not [
                    row
                    for row in ledger.ask(name, proxy="nowhere", **parameters)
                    if row.get("requests")
                ], name


def test_requests_failures_and_names_know_the_proxy(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep(events("north", "south"))
        ledger.set_clock(NOW + 1)
        rows = ledger.ask("requests", proxy="south")
        assert {row["proxy"] for row in rows} == {"south"}
        assert len(rows) == 30
        both = [ledger.ask("failures", window="90d", proxy=name) for name in ("north", "south", "")]
        assert [sum(row["requests"] for row in rows) for rows in both] == [5, 4, 9]
        names = [row["name"] for row in ledger.ask("filter_options") if row["kind"] == "proxy"]
        assert names == ["192.0.2.1:8317", "north", "south"]
        for row in ledger.ask("by_proxy", window="7d"):
            [summary] = ledger.ask("summary", window="7d", proxy=row["proxy"])
            assert summary["requests"] == row["requests"]


def test_accounts_are_listed_with_every_proxy_that_knows_them():
    with closing(quota_ledger(NOW)) as conn:
        conn.execute("insert into proxies (name) values ('office')")
        one, both, office = (add_account(conn, state="ok", observed_at=NOW) for _ in range(3))
        conn.execute("update credential_files set proxy_id = 2 where account_id = ?", (office,))
        conn.execute(
            "update credentials set proxy_id = 2 where account_id in (?, ?)", (both, office)
        )
        for account_id in (one, both, office):
            add_windows(conn, account_id, [gating_window("5h", 40.0)])
        here, there = "127.0.0.1:8317", "office"
        proxies = {one: here, both: f"{here}, {there}", office: there}
        for name in ("usable_accounts", "quota", "quota_forecast"):
            for proxy, expected in (
                ("", {one, both, office}),
                (here, {one, both}),
                (there, {both, office}),
                ("nowhere", set()),
            ):
                sql, parameters = queries()[name].sql, queries()[name].parameters
                cursor = conn.execute(sql, {**dict.fromkeys(parameters, ""), "proxy": proxy})
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
                assert {row["account_id"] for row in rows} == expected, (name, proxy)
                assert all(row["proxy"] == proxies[row["account_id"]] for row in rows)


def a_day(count: int, *, seed: int) -> list[bytes]:
    """Return the traffic of the last day, with at least one failure."""
    now = time.time()
    days = (
        list(Traffic(seed=number, anchor=now).history(now - 86400, now, count=count))
        for number in itertools.count(seed)
    )
    return next(day for day in days if any(json.loads(event)["failed"] for event in day))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard over the traffic of two proxies, `home` and `office`, with quotas."""
    home = Home(tmp_path_factory.mktemp("two"))
    with fake_proxies("home", "office", keeps_log=False) as proxies:
        use(home, proxies)
        proxies["home"].push(a_day(400, seed=100))
        proxies["office"].push(a_day(150, seed=200))
        home.run("ingest", "--once")
        home.start("quota")
        site = Site(home)
        eventually(lambda: site.json("/ledger/quota.json", _shape="array"))
        with closing(sqlite3.connect(home.data / "ledger.db", timeout=10)) as conn, conn:
            set_clock(conn, int(time.time() * 1000))
        yield site
    home.end()


def test_the_page_is_filtered_by_proxy_in_every_part(browser, site):
    all_proxies, office = (
        site.json("/ledger/summary.json", window="24h", _shape="array", proxy=proxy)[0]["requests"]
        for proxy in ("", "office")
    )
    assert (all_proxies, office) == (550, 150)
    with opened(browser, site, "/?range=24h") as page:
        assert number_in(card(page, "requests")) == all_proxies
        shown = page.locator("#table-requests tbody tr td:nth-child(2) small")
        assert set(shown.all_inner_texts()) <= {"home", "office"}
        picture(page, "proxies-all")
        page.locator("#proxy").select_option("office")
        page.wait_for_url("**proxy=office*")
        eventually(lambda: number_in(card(page, "requests")) == office)
        assert "set" in page.locator("#proxy").get_attribute("class")
        for table in ("accounts", "models", "clients"):
            if page.locator(f"#{table}-more").is_visible():
                page.locator(f"#{table}-more").click()
        cells = page.locator("#table-models tbody td:nth-child(2)")
        eventually(lambda: sum(map(number_in, cells.all_inner_texts())) == office)
        for chart in ("over_time", "models", "failure_series", "latency_series"):
            drawn(page, chart)
        links = page.eval_on_selector_all("a[href*='/ledger/']", "all => all.map(one => one.href)")
        parts = [link for link in links if "window=" in link]
        assert len(parts) > 30
        assert [link for link in parts if "proxy=office" not in link] == []
        for link in {link for link in links if "proxy=office" in link}:
            assert httpx.get(link, trust_env=False, timeout=120).status_code == 200, link
        page.reload()
        eventually(lambda: number_in(card(page, "requests")) == office)
        assert page.locator("#proxy").input_value() == "office"
        picture(page, "proxies-office")
        page.locator("#clear").click()
        eventually(lambda: number_in(card(page, "requests")) == all_proxies)


def test_each_part_of_the_filtered_page_equals_its_query(site):
    for filters in ({}, {"account": "x@example.com"}, {"model": "gpt-5.5"}, {"by": "account"}):
        sections = site.json("/-/page.json", range="24h", proxy="office", **filters)["sections"]
        for name, section in sections.items():
            if name in ("state", "usable", "quota", "forecast", "usable_share"):
                continue
            rows = site.json(
                f"/ledger/{section['query']}.json", _shape="array", **section["parameters"]
            )
            shown = [dict(zip(section["columns"], row, strict=True)) for row in section["rows"]]
            assert shown == rows[: len(shown)], (name, filters)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param({"color_scheme": "dark", "locale": "zh-CN"}, id="dark-chinese"),
        pytest.param({"size": (390, 844)}, id="phone"),
    ],
)
def test_the_filter_fits_in_every_look(browser, site, look, request):
    with opened(browser, site, "/?range=24h&proxy=home", **look) as page:
        drawn(page)
        assert page.locator("#proxy").is_visible()
        assert page.locator("#clear").inner_text() in ("Clear filters", "清除筛选")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        picture(page, f"proxies-{request.node.callspec.id}")


def test_a_masked_page_keeps_the_filter(browser, site):
    with opened(browser, site, "/?range=24h&proxy=office&mask=1") as page:
        assert number_in(card(page, "requests")) == 150
        assert "@example.com" not in page.content()


def test_exports_and_reports_know_the_proxy(site):
    address = f"{site.address}/export/events.jsonl"
    parameters = {"window": "24h", "proxy": "office"}
    lines = httpx.get(address, params=parameters, trust_env=False, timeout=120).text.splitlines()
    assert len(lines) == 150
    assert {json.loads(line)["proxy"] for line in lines} == {"office"}
    report = site.home.run("ledger", "report", "24h", "--by", "proxy", "--format", "json")
    assert {row["proxy"]: row["requests"] for row in json.loads(report)} == {
        "home": 400,
        "office": 150,
    }


def test_a_single_proxy_has_no_filter(browser, home, proxy):
    home.use(proxy)
    now = time.time()
    proxy.push(list(Traffic(seed=3, anchor=now).history(now - 3600, now, count=20)))
    home.run("ingest", "--once")
    with opened(browser, Site(home)) as page:
        assert page.locator("#account").is_visible()
        assert page.locator("#proxy").is_hidden()
        assert page.locator("#table-requests small", has_text="127.0.0.1").count() == 0
        picture(page, "proxies-one")
