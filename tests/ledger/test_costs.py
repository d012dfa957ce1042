"""Cost at list price against the package's own arithmetic."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.own_prices import Price
from ledger.prices import Prices, Spent
from ledger.rates import Counts, package_rates
from tests.support.brute import Ledger

NOW = 1_795_500_000_000
MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]
LENGTHS = st.sampled_from([0, 1, 127_999, 128_001, 199_999, 200_000, 200_001, 272_001, 1_000_000])


@given(st.sampled_from(MODELS), LENGTHS, st.data())
@settings(max_examples=400, deadline=None)
def test_every_model_costs_what_the_package_says(chosen, length, data):
    _, model = chosen
    cached = data.draw(st.integers(0, length // 2))
    written = data.draw(st.integers(0, length // 2))
    said = data.draw(st.integers(0, 100_000))
    price = model.get_prices(datetime.fromtimestamp(NOW / 1000, UTC))
    usage = Usage(
        input_tokens=length,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=said,
    )
    expected = price.calc_price(usage)["total_price"] * 1_000_000
    found = package_rates(model.id, price).cost(Counts(length, cached, written, said))
    assert abs(found - expected) <= Decimal("0.501")


def test_a_price_that_changed_is_taken_as_of_the_events_time():
    found = []
    for provider, model in MODELS:
        if not isinstance(model.prices, list):
            continue
        dates = [
            p.constraint.start_date for p in model.prices if hasattr(p.constraint, "start_date")
        ]
        for day in dates:
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
            moments = [int(at.timestamp() * 1000) + delta for delta in (-1, 0)]
            prices = Prices({})
            names = {"openai": "codex", "anthropic": "claude", "google": "gemini"}
            asked = names.get(provider.id)
            if asked:
                rates = [prices.rates(asked, model.id, moment) for moment in moments]
                found.append(rates[0] != rates[1])
    assert any(found)


COUNTS = Counts(1000, 400, 100, 50)
CASES = [
    pytest.param({}, "codex", "gpt-5.5", 1050, 0, 4700, id="listed"),
    pytest.param({}, "codex", "gpt-5.3-codex-spark", 1050, 0, None, id="unknown-model"),
    pytest.param({}, "mock", "mock-large", 0, 0, 0, id="nothing-used"),
    pytest.param({}, "codex", "gpt-5.5", 700, 700, None, id="only-a-total"),
    pytest.param(
        {"gpt-5.*": Price(input=1, output=2)}, "codex", "gpt-5.5", 1050, 0, 1100, id="own"
    ),
    pytest.param(
        {"GPT-*": Price(input=1, output=2, cache_read=0, cache_write=3)},
        "codex",
        "gpt-5.5",
        1050,
        0,
        900,
        id="own-cache-prices",
    ),
]


@pytest.mark.parametrize(("own", "provider", "model", "total", "unclassified", "cost"), CASES)
def test_an_attempt_costs(own, provider, model, total, unclassified, cost):
    spent = Spent(provider, model, NOW, total, unclassified)
    assert Prices(own).cost(spent, COUNTS)[0] == cost


def test_unpriced_models_are_listed_and_counted(tmp_path):
    ledger = Ledger(tmp_path, "UTC")
    event = {
        "at": NOW - 1000,
        "account": "ann",
        "client": "alpha1",
        "input": 300,
        "output": 20,
        "latency": 1000,
        "failed": False,
    }
    ledger.keep([{**event, "model": "unknown-model", "id": "1"}])
    ledger.keep([{**event, "model": "own-large", "id": "2"}])
    ledger.set_clock(NOW)
    [row] = ledger.ask("unpriced")
    assert (row["model"], row["requests"]) == ("unknown-model", 1)
    [whole] = ledger.ask("summary", window="24h")
    assert (whole["unpriced"], whole["cost_dollars"]) == (1, 610 / 1e6)
    ledger.close()
