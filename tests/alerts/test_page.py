"""Alerts, budgets and problems on the dashboard, in a real browser."""

import json
import sqlite3
import time
from contextlib import closing

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

from demo.fake_proxy import FakeProxy, serving
from demo.traffic import Traffic
from tests.support.browsing import opened, picture
from tests.support.home import KEY, Home, eventually
from tests.support.quota_ledger import add_account
from tests.support.sites import Site

ADVICE = "the provider has ended this login. Log in again."
BUDGETS = [
    {"tokens": 1, "per": "day", "name": "tiny"},
    {"dollars": 1e6, "per": "month", "name": "huge"},
    {"client": "nobody", "tokens": 5, "per": "week"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard over an hour of made-up traffic, without any alert."""
    home = Home(tmp_path_factory.mktemp("alerts"))
    home.env["LEDGER_CONFIG"] = str(home.data.parent / "config.json")
    with serving(FakeProxy(key=KEY, retention=3600, keeps_log=False)) as proxy:
        home.use(proxy)
        now = time.time()
        proxy.push(list(Traffic(seed=1, anchor=now).history(now - 3600, now, count=200)))
        home.run("ingest", "--once")
        yield Site(home)
    home.end()


def check(site: Site, **settings) -> None:
    """Run one check of the alerts worker with these settings."""
    rules = {"collector": False, "unpriced": False, "failures": False, "gap": False}
    config = site.home.data.parent / "config.json"
    config.write_text(json.dumps({"alert_rules": rules, **settings}))
    site.home.run("alerts", "--once")


def change(site: Site, sql: str, *parameters: object) -> None:
    """Change the ledger."""
    with closing(sqlite3.connect(site.home.data / "ledger.db", timeout=10)) as conn, conn:
        conn.execute(sql, parameters)


def test_without_alerts_the_section_is_hidden(browser, site):
    check(site)
    with opened(browser, site) as page:
        assert page.locator("#alerts").is_hidden()


def test_alerts_and_budgets_are_shown_and_lead_to_their_queries(browser, site):
    with closing(sqlite3.connect(site.home.data / "ledger.db", timeout=10)) as conn, conn:
        first = add_account(conn, state="needs_login")
    check(site, budgets=BUDGETS)
    label = site.home.query("select label from known_accounts where id = ?", first)[0][0]
    with opened(browser, site) as page:
        assert page.locator("#alerts-title").inner_text() == "Alerts and budgets"
        assert page.locator("#alert-list li").count() == 0
        shown = page.locator(
            "#trust .notice:is([data-code=budget_spent], [data-code=login_expired])"
        )
        severe, warning = shown.all_inner_texts()
        assert severe.startswith("Budget tiny: ")
        assert warning == f"{label} (codex): {ADVICE}"
        budgets = page.locator("#budget-list .limit")
        heads = budgets.locator(".limit-head").all_inner_texts()
        assert [head.split("\n")[0] for head in heads] == ["tiny", "huge", "nobody, tokens a week"]
        assert heads[2].endswith("no such name yet")
        assert (
            "of $1,000,000 this month, until" in budgets.nth(1).locator(".limit-foot").inner_text()
        )
        for link in page.locator("#alerts .links a").all():
            answer = httpx.get(link.evaluate("one => one.href"), trust_env=False, timeout=120)
            assert answer.status_code == 200
        for part in ("#alerts", "#trust"):
            violations = Axe().run(page, context=part)
            assert violations.violations_count == 0, violations.generate_report()
        picture(page, "alerts")
    with opened(browser, site, "/?mask=1") as page:
        assert label not in page.locator("main").inner_text()
    with opened(browser, site, locale="zh-CN", size=(390, 800), color_scheme="dark") as page:
        assert page.locator("#alerts-title").inner_text() == "提醒与预算"
        text = page.locator("#trust [data-code=login_expired]").inner_text()
        assert text == f"{label}（codex）的登录已被服务商终止。请重新登录。"
        assert (
            page.locator("#trust [data-code=budget_spent]")
            .inner_text()
            .startswith("预算“tiny”已用完")
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert Axe().run(page, context="#alerts").violations_count == 0
        picture(page, "alerts-zh")


def test_an_ended_alert_stays_for_a_while(browser, site):
    change(
        site, "update alerts set ended_at = ? where severity = 'severe'", int(time.time() * 1000)
    )
    change(site, "update quota_accounts set state = 'ok'")
    with opened(browser, site) as page:
        states = page.locator("#alert-list li").evaluate_all("all => all.map(one => one.className)")
        assert states == ["over"]
        change(site, "update alerts set ended_at = began_at where ended_at is null")
        page.locator("#refresh").click()
        eventually(lambda: page.locator("#alert-list li.over").count() == 2)
        change(site, "update alerts set began_at = 0, ended_at = 0")
        change(site, "delete from budgets")
        page.locator("#refresh").click()
        page.wait_for_selector("#alerts", state="hidden")


def test_a_page_of_many_alerts_stays_short(browser, site):
    with closing(sqlite3.connect(site.home.data / "ledger.db", timeout=10)) as conn, conn:
        for _ in range(12):
            add_account(conn, state="needs_login")
    check(site)
    with opened(browser, site) as page:
        # The server keeps an answer for a second.
        page.locator("#every").select_option("5")
        eventually(lambda: page.locator("#trust .notice[data-code]").count() == 6)
        more = page.locator("#trust .notice:not([data-code])").inner_text()
        assert more.startswith("and ")
        assert more.endswith(" more")
