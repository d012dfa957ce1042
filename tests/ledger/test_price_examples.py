"""The examples of docs/costs.md: valid settings that cost what the text says."""

import json
from datetime import datetime
from typing import Any

import pytest

from ledger.prices.calculator import Attempt, Prices
from ledger.prices.overrides import price_problems
from ledger.prices.rates import Counts
from ledger.settings import Settings, convert, requirements
from tests.support.home import ROOT

PAGE = (ROOT / "docs" / "costs.md").read_text("utf-8")
OWN = PAGE[PAGE.index("## Your own prices") : PAGE.index("## Newer prices")]
EXAMPLES = [json.loads(line) for line in OWN.splitlines() if line.startswith("    {")]
MILLION = Counts(1_000_000, 0, 0, 0, 0)
WRITTEN = Counts(1_000_000, 0, 1_000_000, 0, 0)
# Friday and Saturday, UTC.
NOON, NIGHT, SATURDAY = "2026-11-27T12:00Z", "2026-11-27T23:00Z", "2026-11-28T12:00Z"
RELAY = "openai-compatible-my-relay"


def attempt(provider: str, model: str, at: str = NOON, **more: str) -> Attempt:
    """Return an attempt at a time."""
    return Attempt(provider, model, round(datetime.fromisoformat(at).timestamp() * 1000), **more)


def settings_of(raw: dict[str, Any]) -> Settings:
    """Return settings as the file has them."""
    return convert(raw, strict=True, place="in config.json")


CASES = [
    pytest.param(0, attempt(RELAY, "my-model"), MILLION, 1.0, id="one-model"),
    pytest.param(0, attempt("codex", "gpt-5.5"), MILLION, 10.0, id="another-as-listed"),
    pytest.param(1, attempt(RELAY, "openai/gpt-5.4"), MILLION, 3.5, id="relay"),
    pytest.param(1, attempt(RELAY, "gpt-5.5"), MILLION, 4.0, id="name-before-pattern"),
    pytest.param(1, attempt("codex", "gpt-5.4"), MILLION, 5.0, id="not-the-relay"),
    pytest.param(2, attempt(RELAY, "my-model", "2026-11-30T23:59Z"), MILLION, 1.0, id="before"),
    pytest.param(2, attempt(RELAY, "my-model", "2026-12-01T00:00Z"), MILLION, 2.0, id="from"),
    pytest.param(
        3, attempt("claude", "claude-sonnet-5", client="laptop"), WRITTEN, 5.0, id="hour-of-client"
    ),
    pytest.param(
        3, attempt("claude", "claude-sonnet-5", client="ci"), WRITTEN, 2.5, id="another-client"
    ),
    pytest.param(
        4, attempt("codex", "gpt-5.5", account="ann@example.com"), MILLION, 10.0, id="by-day"
    ),
    pytest.param(
        4, attempt("codex", "gpt-5.5", NIGHT, account="ann@example.com"), MILLION, 5.0, id="night"
    ),
    pytest.param(
        4,
        attempt("codex", "gpt-5.5", SATURDAY, account="ann@example.com"),
        MILLION,
        5.0,
        id="weekend",
    ),
    pytest.param(
        4,
        attempt("codex", "gpt-5.5", NIGHT, account="bob@example.com"),
        MILLION,
        10.0,
        id="another-account",
    ),
    pytest.param(5, attempt(RELAY, "my-model", requested_tier="priority"), MILLION, 2.0, id="tier"),
    pytest.param(5, attempt(RELAY, "my-model"), MILLION, 1.5, id="beyond-the-step"),
    pytest.param(
        5, attempt(RELAY, "my-model"), MILLION._replace(input=200_000), 0.2, id="up-to-the-step"
    ),
]


@pytest.mark.parametrize(("number", "asked", "counts", "dollars"), CASES)
def test_an_example_costs_what_the_document_says(number, asked, counts, dollars):
    settings = settings_of(EXAMPLES[number])
    assert [one for one in requirements(settings) if not one.is_met] == []
    cost = Prices.configured(settings).cost(asked, counts)
    assert cost.microdollars == round(dollars * 1e6)


def test_every_example_is_tried():
    assert {case.values[0] for case in CASES} == set(range(len(EXAMPLES)))


MISTAKES = [
    pytest.param({"input": 1}, "has only one of input and output", id="half"),
    pytest.param({}, "has neither input and output nor a multiplier", id="empty"),
    pytest.param({"multiplier": 1, "request": 1}, "has steps or a request price", id="no-base"),
    pytest.param({"multiplier": 1, "tier": "gold"}, "has an unknown tier", id="tier"),
    pytest.param({"multiplier": 1, "hours": "1-4"}, "has hours that are not", id="hours"),
    pytest.param({"multiplier": 1, "weekdays": "monday"}, "has weekdays that are", id="weekdays"),
    pytest.param({"multiplier": 1, "from": "soon"}, "has a from that is not a day", id="from"),
]


@pytest.mark.parametrize(("price", "sentence"), MISTAKES)
def test_a_mistake_gets_a_sentence(price, sentence):
    [own] = settings_of({"prices": {"my-model": price}}).prices.values()
    assert next(price_problems(own)).startswith(sentence)


@pytest.mark.parametrize(
    "price", [{"inputs": 1, "output": 1}, {"input": -1, "output": 1}, {"input": "1", "output": 1}]
)
def test_a_malformed_price_names_the_setting(price):
    with pytest.raises(SystemExit, match="setting prices"):
        settings_of({"prices": {"my-model": price}})
