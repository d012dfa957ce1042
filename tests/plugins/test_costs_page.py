"""Costs on the page: lower bounds, what they lack, another currency, the price list."""

import json
from pathlib import Path

import httpx
import pytest

from demo.fake_proxy import FakeProxy, serving
from ledger.prices.edition import FILE
from tests.support.browsing import card, opened
from tests.support.home import KEY, Home, eventually
from tests.support.price_cases import payload
from tests.support.sites import Site

CASE = {
    "timestamp": "2026-11-24T12:00:00Z",
    "provider": "codex",
    "executor_type": "CodexExecutor",
    "auth_type": "oauth",
    "service_tier": "auto",
    "response_service_tier": "default",
    "input_tokens": 1_000_000,
    "cache_read_tokens": 400_000,
    "cache_write_tokens": 0,
    "output_tokens": 0,
}
LIST_PRICE = {"my-model": {"input": 4, "output": 1, "cache_read": 1.5}}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard over three attempts, one of them without a price."""
    home = Home(tmp_path_factory.mktemp("costs"))
    config = Path(home.env["LEDGER_CONFIG"])
    config.write_text(json.dumps({"prices": LIST_PRICE}))
    models = ["my-model", "my-model", "unknown-model"]
    with serving(FakeProxy(key=KEY, retention=3600)) as proxy:
        home.use(proxy)
        proxy.push([payload({**CASE, "model": m, "label": str(n)}) for n, m in enumerate(models)])
        home.run("ingest", "--once")
        home.stop_clock()
        site = Site(home)
        site.config = config
        # The first answer of a server may take longer than the page waits.
        data = f"{site.address}/-/page.json"
        eventually(lambda: httpx.get(data, trust_env=False, timeout=60).status_code == 200)
        yield site
    home.end()


def test_a_sum_is_a_lower_bound_and_says_what_it_lacks(browser, site):
    with opened(browser, site) as page:
        assert card(page, "cost_dollars") == "≥ $6.00, 1 attempt without a price"
        note = page.locator("[data-measure=cost_dollars] .note").inner_text()
        # 400,000 tokens twice, at 1.50 dollars a million instead of 4.
        assert note == "1 attempt without a price · cache saved $2.00"
        table = page.locator("#table-models tbody").inner_text()
        assert "≥ $0.00" in table
        assert "≥ $6.00" not in table
        assert "Prices: genai-prices " in page.locator("#price-list").inner_text()
        requests = page.locator("#table-requests td[title*='no known price']")
        assert requests.count() == 1


def test_another_currency_is_read_while_the_page_is_served(browser, site):
    settings = {"prices": LIST_PRICE, "currency": "EUR", "currency_rate": 0.5}
    site.config.write_text(json.dumps(settings))
    with opened(browser, site) as page:
        assert card(page, "cost_dollars") == "≥ €3.00, 1 attempt without a price"
        assert "Shown at 0.5 EUR a dollar" in page.locator("#price-list").inner_text()
    data = httpx.get(f"{site.address}/-/page.json", trust_env=False, timeout=20).json()
    assert (data["costs"]["currency"], data["costs"]["currency_rate"]) == ("EUR", 0.5)
    summary = data["sections"]["summary"]
    assert dict(zip(summary["columns"], summary["rows"][0], strict=True))["cost_dollars"] == 6


def test_a_fetched_list_is_named_with_its_date(browser, site):
    file = site.home.data / FILE
    file.write_text('{"fetched_at": "2026-11-20T08:00:00+00:00", "providers": []}')
    with opened(browser, site) as page:
        shown = page.locator("#price-list").inner_text()
    assert shown.startswith("Prices: genai-prices fetched 2026-11-20.")
    status = json.loads(site.home.run("ledger", "status", "--json"))
    assert status["price_list"] == "genai-prices fetched 2026-11-20"
