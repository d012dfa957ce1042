"""The dashboard in a real browser, on a real collector, quota worker and server."""

import sqlite3
import time
from contextlib import closing

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

from demo.fake_proxy import FakeProxy, serving
from demo.traffic import Traffic
from ledger.queries import queries
from tests.support.browsing import card, drawn, number_in, opened, picture, ready
from tests.support.home import KEY, Home, eventually
from tests.support.sites import Site

DAYS, EVENTS = 3, 1500
RANGES = ["today", "1h", "5h", "24h", "7d", "30d"]
needs_quota = pytest.mark.skipif("quota" not in queries(), reason="there are no quota queries")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard over three days of made-up traffic, with both workers running."""
    home = Home(tmp_path_factory.mktemp("page"))
    now = time.time()
    with serving(FakeProxy(key=KEY, retention=3600, keeps_log=False)) as proxy:
        home.use(proxy)
        traffic = Traffic(seed=1, anchor=now)
        proxy.push(list(traffic.history(now - DAYS * 86400, now, count=EVENTS)))
        home.run("ingest", "--once")
        home.start("ingest")
        home.start("quota")
        site = Site(home)
        site.proxy = proxy
        if "quota" in queries():
            eventually(lambda: site.json("/ledger/quota.json", _shape="array"))
        yield site
    home.end()


@pytest.mark.parametrize("window", RANGES)
def test_each_range_shows_its_own_numbers_and_can_be_bookmarked(browser, site, window):
    other = "1h" if window == "30d" else "30d"
    with opened(browser, site, f"/?range={other}") as page:
        page.locator(f"input[name=range][value='{window}']").check(force=True)
        page.wait_for_url(f"**/?range={window}")

        def equal() -> bool:
            [sums] = site.json("/ledger/summary.json", window=window, _shape="array")
            shown = {name: number_in(card(page, name)) for name in ("requests", "total_tokens")}
            return shown == {name: sums[name] for name in shown}

        eventually(equal)
        page.reload()
        ready(page)
        assert page.locator(f"input[name=range][value='{window}']").is_checked()
        eventually(equal)
        drawn(page)
        page.go_back()
        eventually(lambda: page.locator(f"input[name=range][value='{other}']").is_checked())


def test_days_can_be_chosen(browser, site):
    with opened(browser, site) as page:
        page.locator("input[name=range][value=days]").check(force=True)
        page.locator("#from").fill("2026-01-01")
        page.locator("#from").dispatch_event("change")
        page.wait_for_function("new URLSearchParams(location.search).get('from') === '2026-01-01'")
        eventually(lambda: number_in(card(page, "requests") or "0") >= EVENTS)
        page.locator("#to").fill("2026-01-02")
        page.locator("#to").dispatch_event("change")
        page.wait_for_selector("#empty:not([hidden])")
        assert card(page, "requests") == "0"


@pytest.mark.parametrize(
    ("name", "table"), [("account", "accounts"), ("model", "models"), ("client", "clients")]
)
def test_filters_hold_for_every_number(browser, site, name, table):
    with opened(browser, site, "/?range=7d") as page:
        button = page.locator(f"#table-{table} tbody button.name").first
        value = button.inner_text()
        button.click()
        page.wait_for_function(f"new URLSearchParams(location.search).has('{name}')")
        [sums] = site.json("/ledger/summary.json", window="7d", _shape="array", **{name: value})
        eventually(lambda: number_in(card(page, "requests")) == sums["requests"])
        assert page.locator(f"#{name}").input_value() == value
        rows = page.locator("#table-requests tbody tr")
        column = {"account": 2, "model": 3, "client": 4}[name]
        cells = rows.locator(f"td:nth-child({column}) > bdi").all_inner_texts()
        assert set(cells) == {value}
        page.locator("#clear").click()
        page.wait_for_function(f"!new URLSearchParams(location.search).has('{name}')")
        page.locator(f"#{name}").select_option(value)
        eventually(lambda: number_in(card(page, "requests")) == sums["requests"])


def test_the_chart_is_stacked_as_chosen(browser, site):
    with opened(browser, site, "/?range=7d") as page:
        drawn(page)
        models = [
            row["model"] for row in site.json("/ledger/models.json", window="7d", _shape="array")
        ]
        legend = page.locator("#legend-over_time bdi")
        assert legend.first.inner_text() == models[0]
        page.locator("input[name=by][value=account]").check(force=True)
        page.wait_for_url("**by=account*")
        eventually(lambda: "@example.com" in legend.first.inner_text())
        tokens = page.locator("#legend-over_time b").first.inner_text()
        page.locator("input[name=measure][value=requests]").check(force=True)
        eventually(lambda: page.locator("#legend-over_time b").first.inner_text() != tokens)
        page.locator(
            "#chart-over_time svg path[aria-roledescription], #chart-over_time svg .mark-rect path"
        ).last.hover()
        page.wait_for_selector("#tip:not([hidden])")


def test_every_chart_is_drawn_and_every_link_answers(browser, site):
    with opened(browser, site, "/?range=7d") as page:
        for chart in (
            "over_time",
            "models",
            "accounts",
            "clients",
            "failure_series",
            "latency_series",
        ):
            drawn(page, chart)
        links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)")
        queried = {link for link in links if "/ledger/" in link}
        assert len(queried) > 40
        for link in queried:
            answer = httpx.get(link, trust_env=False, timeout=120)
            assert answer.status_code == 200, link


def test_language_and_colours_are_chosen_and_remembered(browser, site):
    with opened(browser, site, locale="zh-CN", color_scheme="dark") as page:
        assert page.title() == "CLIProxyAPI 用量统计"
        assert page.locator("#refresh-quota").inner_text() == "刷新余量"
        page.locator("#language").click()
        page.wait_for_selector("html[lang=en]")
        ready(page)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").select_option("light")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        page.reload()
        ready(page)
        assert page.title() == "CLIProxyAPI usage"
        assert page.locator("html").get_attribute("data-theme") == "light"


def test_it_refreshes_as_often_as_chosen_and_not_while_hidden(browser, site):
    with opened(browser, site) as page:
        page.locator("#every").select_option("0")
        page.wait_for_timeout(300)
        before = len(page.seen.data())
        page.locator("#refresh").click()
        eventually(lambda: len(page.seen.data()) == before + 1)
        page.evaluate("document.querySelector('#every').options[0].value = '0.2'")
        page.locator("#every").select_option("0.2")
        eventually(lambda: len(page.seen.data()) > before + 4)
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => window.away});"
            "window.away = true; document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.wait_for_timeout(400)
        hidden = len(page.seen.data())
        page.wait_for_timeout(700)
        assert len(page.seen.data()) == hidden
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
        eventually(lambda: len(page.seen.data()) > hidden + 1)


def test_new_events_appear_and_nothing_moves(browser, site):
    with opened(browser, site, "/?range=30d", size=(1280, 1400)) as page:
        drawn(page)
        page.evaluate(
            "window.shift = 0; new PerformanceObserver(list => {"
            " for (const entry of list.getEntries()) window.shift += entry.value"
            "}).observe({type: 'layout-shift', buffered: false})"
        )
        count = number_in(card(page, "requests"))
        page.evaluate("document.querySelector('#every').options[0].value = '0.5'")
        page.locator("#every").select_option("0.5")
        now = time.time()
        site.proxy.push(list(Traffic(seed=2, anchor=now).history(now - 60, now, count=5)))
        eventually(lambda: number_in(card(page, "requests")) == count + 5)
        page.wait_for_timeout(1200)
        assert page.evaluate("window.shift") == 0


def test_a_server_that_is_away_leaves_the_last_numbers_marked_stale(browser, site):
    with opened(browser, site) as page:
        page.evaluate("document.querySelector('#every').options[0].value = '0.3'")
        page.locator("#every").select_option("0.3")
        requests = card(page, "requests")
        site.stop()
        page.wait_for_selector("#stale:not([hidden])")
        assert "does not answer" in page.locator("#stale").inner_text()
        assert card(page, "requests") == requests
        site.start()
        page.wait_for_selector("#stale", state="hidden")


@needs_quota
def test_accounts_now_equal_their_query_and_can_be_refreshed(browser, site):
    with opened(browser, site) as page:
        best = site.json("/ledger/usable_accounts.json", _shape="array")[0]
        assert best["account"] in page.locator("#best").inner_text()
        shown = page.locator("#now .account-now h3").all_inner_texts()
        assert shown[0] == best["account"]
        if page.locator("#now-more").is_visible():
            page.locator("#now-more").click()
        everyone = {
            row["account_id"] for row in site.json("/ledger/usable_accounts.json", _shape="array")
        }
        eventually(lambda: page.locator("#now .account-now").count() == len(everyone))
        page.locator("#refresh-quota").click()
        eventually(lambda: "Answer in" in page.locator("#refresh-state").inner_text())
        [newest] = site.home.query("select outcome from quota_requests order by id desc limit 1")
        assert newest[0] in page.locator("#refresh-state").inner_text()


def test_requests_are_paged_filtered_and_found(browser, site):
    with opened(browser, site) as page:
        rows = page.locator("#table-requests tbody tr")
        first = {int(row.get_attribute("data-id")) for row in rows.all()}
        page.locator("#older").click()
        page.wait_for_selector("#newest:not([hidden])")
        eventually(lambda: int(rows.first.get_attribute("data-id")) < min(first))
        page.locator("#newest").click()
        eventually(lambda: int(rows.first.get_attribute("data-id")) >= max(first))
        page.locator("#failed").check()
        page.wait_for_url("**failed=1*")
        eventually(lambda: page.locator("#table-requests tbody tr.failed").count() == rows.count())
        assert page.locator("#table-requests .badge.no").count() == rows.count()
        page.locator("#failed").uncheck()
        page.wait_for_function("!location.search.includes('failed')")
        request_id = site.home.query(
            "select request_id from usage_events group by 1 having count(*) > 1 limit 1"
        )[0][0]
        page.locator("#request_id").fill(request_id)
        page.locator("#request_id").press("Enter")
        attempts = site.home.query(
            "select count(*) from usage_events where request_id = ?", request_id
        )
        eventually(lambda: rows.count() == attempts[0][0])
        assert page.locator("#table-requests tr.tied").count() == attempts[0][0]


def test_names_can_be_masked(browser, site):
    with opened(browser, site, "/?range=7d") as page:
        assert "@example.com" in page.content()
        page.locator("#mask").click()
        page.wait_for_url("**mask=1*")
        eventually(lambda: "@example.com" not in page.content())
        page.locator("#table-accounts tbody button.name").first.click()
        page.wait_for_function("new URLSearchParams(location.search).get('account')?.includes('•')")
        eventually(lambda: page.locator("#table-accounts tr.selected").count() == 1)
        assert "@example.com" not in page.content()


def test_a_keyboard_is_enough(browser, site):
    with opened(browser, site) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.locator("input[name=range][value='24h']").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**range=7d*")
        page.locator("#table-models tbody button.name").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**model=*")
        eventually(lambda: page.locator("#table-models tr.selected").count() == 1)
        assert page.evaluate("document.activeElement.dataset.focus") == "name"
        page.locator("#trust summary").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#trust details[open]")


LOOKS = [
    pytest.param({"size": (1360, 900)}, id="wide-light-english"),
    pytest.param(
        {"size": (1360, 900), "color_scheme": "dark", "locale": "zh-CN"}, id="wide-dark-chinese"
    ),
    pytest.param({"size": (390, 844), "locale": "zh-CN"}, id="phone-light-chinese"),
    pytest.param({"size": (390, 844), "color_scheme": "dark"}, id="phone-dark-english"),
]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious_and_nothing_overflows(browser, site, look, request):
    with opened(browser, site, "/?range=7d", **look) as page:
        drawn(page)
        page.locator("#trust summary").click()
        violations = Axe().run(page).response["violations"]
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        picture(page, request.node.callspec.id)


def test_a_query_page_looks_like_the_dashboard_and_links_back(browser, site):
    with opened(browser, site) as page:
        page.locator("[data-measure=requests] .value").click()
        page.wait_for_selector("h1:has-text('Summary')")
        assert page.locator(".metadata-description").inner_text()
        result = Axe().run(page, options={"rules": {"color-contrast": {"enabled": True}}})
        assert not [
            one["id"] for one in result.response["violations"] if one["impact"] == "critical"
        ]
        page.locator(".export-links a", has_text="CSV").wait_for()
        page.locator("a.back").click()
        ready(page)
        page.goto(f"{site.address}/ledger/accounts")
        page.locator(".metadata-description a", has_text="Chart").click()
        page.wait_for_selector(".vega-embed canvas, .vega-embed svg, #vis canvas, #vis svg")
        # The old Vega of datasette-vega warns about its version; any other error counts.
        page.seen.errors = [error for error in page.seen.errors if "Vega v3" not in error]


def test_the_first_paint_with_data_takes_less_than_a_second(browser, site):
    with opened(browser, site) as page:
        page.reload()
        ready(page)
        painted = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        assert painted < 1000


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        pytest.param({"CLIPROXY_MANAGEMENT_KEY": ""}, "There is no management key", id="no-key"),
        pytest.param({}, "The collector is not running", id="no-collector"),
    ],
)
def test_an_empty_ledger_says_what_to_do(browser, home, env, sentence):
    home.env |= env
    home.run("ledger", "init")
    with opened(browser, Site(home)) as page:
        assert sentence in page.locator("#empty").inner_text()


def test_a_connected_ledger_without_traffic_says_so(browser, home, proxy):
    home.use(proxy)
    home.run("ledger", "init")
    home.start("ingest")
    site = Site(home)
    eventually(lambda: home.query("select 1 from proxies where asked_at is not null"))
    with opened(browser, site) as page:
        eventually(lambda: "All is connected" in page.locator("#empty").inner_text())
        proxy.statistics = False


def test_switched_off_statistics_are_on_the_page(browser, home):
    with serving(FakeProxy(key=KEY, retention=3600, statistics=False)) as proxy:
        home.use(proxy)
        home.run("ledger", "init")
        home.start("ingest")
        eventually(lambda: home.query("select 1 from proxies where statistics_enabled = 0"))
        with opened(browser, Site(home)) as page:
            assert "usage-statistics-enabled" in page.locator("#empty").inner_text()
            assert "usage-statistics-enabled" in page.locator("#trust .notice").first.inner_text()


def test_gaps_in_collection_are_shaded(browser, site):
    with closing(sqlite3.connect(site.home.data / "ledger.db", timeout=10)) as conn, conn:
        now = int(time.time() * 1000)
        conn.execute(
            "insert into gaps (proxy_id, started_at, ended_at, cause) values (1, ?, ?, 'test')",
            (now - 7_200_000, now - 3_600_000),
        )
    with opened(browser, site, "/?range=5h") as page:
        drawn(page)
        labels = page.evaluate(
            "[...document.querySelectorAll('#chart-over_time svg path')]"
            ".map(one => one.getAttribute('fill'))"
        )
        gap = page.evaluate(
            "getComputedStyle(document.documentElement).getPropertyValue('--gap').trim()"
        )
        assert gap in labels
