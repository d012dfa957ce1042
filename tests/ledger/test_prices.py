"""Costs of attempts: the package's own arithmetic, the user's own prices."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.prices.calculator import (
    NO_PRICE,
    NO_USAGE,
    PARTLY_UNCLASSIFIED,
    UNCLASSIFIED,
    UNIT,
    Attempt,
    Cost,
    Plan,
    Prices,
    context,
    tier,
)
from ledger.prices.explain import explain
from ledger.prices.lookup import Match
from ledger.prices.overrides import Price, Step, problems
from ledger.prices.periods import periods
from ledger.prices.rates import Counts, has_token_prices, package_steps
from ledger.prices.snapshot import lists
from ledger.settings import Settings
from tests.support.brute import Ledger

DATA = Path(__file__).parents[1] / "data" / "prices"
NOW = 1_795_500_000_000
DAY = 86_400_000
# A micro-dollar is rounded; the rest is the error of floats.
HALF = Decimal("0.501")


def instant(text: str) -> int:
    """Return an ISO timestamp as ms UTC."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def price(attempt: Attempt, counts: Counts, own: dict | None = None) -> Cost:
    """Return the cost of an attempt all of whose tokens are classified."""
    return Prices(own or {}).cost(attempt, counts)


MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]
LENGTHS = (0, 1, 32_001, 127_999, 128_001, 199_999, 200_000, 200_001, 272_001, 512_001, 1_000_000)
TIERS = ("", "priority", "flex", "batch", "fast")


class Listed:
    """What the package itself says about one of its models, as of a tier."""

    def __init__(self, model: ModelInfo, tier: str, at: int = NOW, *, is_hour: bool) -> None:
        self.price = model.get_prices(datetime.fromtimestamp(at / 1000, UTC), context(tier))
        match = Match("list", model, "rule", has_variants=True)
        self.plan = Plan(match, [], tier=tier, is_hour=is_hour, version="")
        self.is_hour = is_hour and self.price.cache_write_1h_mtok is not None

    def microdollars(self, counts: Counts) -> Decimal:
        """Return the package's own calculation."""
        usage = Usage(
            input_tokens=counts.input,
            cache_read_tokens=counts.cached,
            cache_write_tokens=counts.cache_write,
            output_tokens=counts.output,
        )
        if self.is_hour:
            usage.cache_write_1h_tokens = counts.cache_write
        if self.price.output_image_mtok is not None:
            usage.output_image_tokens = counts.output - counts.reasoning
        if self.price.output_reasoning_mtok:
            usage.output_reasoning_tokens = counts.reasoning
        return self.price.calc_price(usage)["total_price"] * 1_000_000

    def lengths(self) -> set[int]:
        """Return lengths of input on both sides of each of its steps."""
        kinds = [kind for kind in vars(self.price).values() if isinstance(kind, TieredPrices)]
        starts = {tier.start for kind in kinds for tier in kind.tiers}
        return {1000, *(start + more for start in starts for more in (0, 1))}


@pytest.mark.parametrize("tier", TIERS)
def test_every_model_costs_what_the_package_says_at_each_of_its_steps(tier):
    for _, model in MODELS:
        listed = Listed(model, tier, is_hour=False)
        for length in listed.lengths() if has_token_prices(listed.price) else ():
            counts = Counts(length, length // 2, length // 4, 1000, 300)
            cost = listed.plan.cost(NOW, counts)
            assert abs(cost.microdollars - listed.microdollars(counts)) <= HALF, (model.id, length)


@given(
    st.sampled_from(MODELS),
    st.sampled_from(TIERS),
    st.integers(-600, 200),
    st.booleans(),
    st.data(),
)
@settings(max_examples=500, deadline=None)
def test_any_counts_cost_and_save_what_the_package_says(chosen, tier, day, is_hour, data):
    at = NOW + day * DAY
    listed = Listed(chosen[1], tier, at, is_hour=is_hour)
    length = data.draw(st.sampled_from(LENGTHS))
    cached, written = (data.draw(st.integers(0, length // 2)) for _ in range(2))
    output = data.draw(st.integers(0, 100_000))
    counts = Counts(length, cached, written, output, data.draw(st.integers(0, output)))
    if not has_token_prices(listed.price) or not (length or output):
        return
    cost, paid = listed.plan.cost(at, counts), listed.microdollars(counts)
    assert abs(cost.microdollars - paid) <= HALF
    # What the same tokens cost when none is read from the cache or written into it.
    full = listed.microdollars(counts._replace(cached=0, cache_write=0))
    assert abs(cost.saved - (full - paid)) <= HALF


TIER_CASES = [
    pytest.param("codex", "priority", "default", "", "priority", id="codex-asks-priority"),
    pytest.param("codex", "Priority", "", "", "priority", id="any-case"),
    pytest.param("codex", "flex", "default", "", "", id="codex-drops-flex"),
    pytest.param("codex", "auto", "priority", "", "", id="codex-answer-does-not-count"),
    pytest.param("codex", "fast", "", "POST /v1/responses", "", id="codex-drops-fast"),
    pytest.param("codex", "fast", "", "POST /v1/messages", "priority", id="codex-fast-by-claude"),
    pytest.param("openai", "flex", "default", "", "", id="answer-wins"),
    pytest.param("openai", "flex", "", "", "flex", id="request-without-answer"),
    pytest.param("openai", "auto", "priority", "", "priority", id="answer-tells-more"),
    pytest.param("gemini", "turbo", "", "", "", id="unknown-word"),
]


@pytest.mark.parametrize(("provider", "asked", "answered", "endpoint", "expected"), TIER_CASES)
def test_the_tier_that_decides_the_price(provider, asked, answered, endpoint, expected):
    attempt = Attempt(
        provider,
        "gpt-5.5",
        NOW,
        endpoint=endpoint,
        requested_tier=asked,
        answered_tier=answered,
    )
    assert tier(attempt) == expected


LOOKUPS = [
    pytest.param("codex", "gpt-5.5(high)", "", "openai/gpt-5.5", id="thinking-budget"),
    pytest.param(
        "gemini", "models/gemini-2.5-pro", "", "google/gemini-2.5-pro", id="models-prefix"
    ),
    pytest.param("vertex", "gemini-3-pro", "", "google/gemini-3-pro-preview", id="preview-added"),
    pytest.param("claude", "claude-sonnet-5[1m]", "", "anthropic/claude-sonnet-5", id="window"),
    pytest.param("openai-compatible-my-groq", "openai/gpt-oss-120b", "", "groq/", id="named-relay"),
    pytest.param("openai-compatible-1", "z-ai/glm-5.2", "", "zai/GLM-5.2", id="vendor-prefix"),
    pytest.param("openai-compatible-zhipu", "glm-5.2", "", "zhipuai/GLM-5.2", id="yuan-by-name"),
    pytest.param("openai-compatible-1", "glm-5.2", "", "zai/GLM-5.2", id="dollars-by-default"),
    pytest.param("codex", "unknown-model", "gpt-5.5", "openai/gpt-5.5", id="alias"),
    pytest.param("openai-compatible-1", "acme/gpt-5.5", "", None, id="foreign-vendor"),
    pytest.param("openai-compatible-1", "my-model", "", None, id="nobody's"),
]


@pytest.mark.parametrize(("provider", "model", "alias", "expected"), LOOKUPS)
def test_a_model_is_priced_by_the_entry(provider, model, alias, expected):
    rates = Prices({}).plan(Attempt(provider, model, NOW, alias)).rates_at(NOW)
    assert (rates and rates.model.startswith(expected)) if expected else rates is None


COUNTS = Counts(1000, 400, 100, 50, 0)
CODEX = Attempt("codex", "gpt-5.5", NOW)
EMPTY = Counts(0, 0, 0, 0, 0)
REASON_CASES = [
    pytest.param(Attempt("codex", "who-knows", NOW), COUNTS, None, NO_PRICE, id="no-price"),
    pytest.param(CODEX, EMPTY, None, NO_USAGE, id="no-usage"),
    pytest.param(CODEX._replace(failed=True), EMPTY, 0, None, id="failure"),
    pytest.param(CODEX._replace(is_warm_up=True), EMPTY, 0, None, id="warm-up"),
    pytest.param(CODEX, EMPTY._replace(unclassified=700), None, UNCLASSIFIED, id="only-a-total"),
    pytest.param(
        CODEX, COUNTS._replace(unclassified=5000), 4700, PARTLY_UNCLASSIFIED, id="remainder"
    ),
    pytest.param(Attempt("openai", "whisper-1", NOW), COUNTS, None, UNIT, id="by-the-hour"),
]


@pytest.mark.parametrize(("attempt", "counts", "cost", "reason"), REASON_CASES)
def test_a_missing_cost_has_a_reason(attempt, counts, cost, reason):
    result = Prices({}).cost(attempt, counts)
    assert (result.microdollars, result.reason) == (cost, reason)


FLAT = Price(input=1, output=2)
RELAY = "openai-compatible-relay"
OWN_CASES = [
    pytest.param({"gpt-5.*": FLAT}, CODEX, 1100, id="pattern"),
    pytest.param({"*": Price(input=9, output=9), "gpt-5.5": FLAT}, CODEX, 1100, id="exact-first"),
    pytest.param(
        {"kimi-k3[1m]": FLAT}, Attempt("kimi", "kimi-k3[1m]", NOW), 1100, id="brackets-are-a-name"
    ),
    pytest.param(
        {"GPT-*": Price(input=1, output=2, cache_read=0, cache_write=3)}, CODEX, 900, id="cache"
    ),
    pytest.param({"*": Price(multiplier=0.5)}, CODEX, 2350, id="half-of-list"),
    pytest.param(
        {"*": Price(multiplier=0.7, provider="relay")},
        Attempt(RELAY, "openai/gpt-5.5", NOW),
        3290,
        id="relay-at-0.7",
    ),
    pytest.param({"*": Price(multiplier=0.7, provider="relay")}, CODEX, 4700, id="other-provider"),
    pytest.param(
        {"gpt-5.5": Price(input=1, output=2, client="ci")}, CODEX, 4700, id="other-client"
    ),
    pytest.param(
        {"gpt-5.5": Price(input=1, output=2, client="ci")},
        CODEX._replace(client="ci"),
        1100,
        id="client",
    ),
    pytest.param(
        {"gpt-5.5": Price(input=1, output=2, account="*@example.com")},
        CODEX._replace(account="ann@example.com"),
        1100,
        id="account",
    ),
    pytest.param(
        {"gpt-5.5": Price(input=1, output=2, tier="priority")},
        CODEX._replace(requested_tier="priority"),
        1100,
        id="tier",
    ),
    pytest.param(
        {"gpt-5.5": [FLAT, Price(input=2, output=2, since="2026-11-01")]}, CODEX, 2100, id="newest"
    ),
    pytest.param(
        {"gpt-5.5": [FLAT, Price(input=2, output=2, since="2027-01-01")]},
        CODEX,
        1100,
        id="not-yet",
    ),
    pytest.param(
        {"gpt-5.5": Price(input=1, output=2, steps=(Step(above=999, input=3),))},
        CODEX,
        3000 + 100,
        id="step",
    ),
]


@pytest.mark.parametrize(("own", "attempt", "cost"), OWN_CASES)
def test_a_price_of_the_users_own(own, attempt, cost):
    assert price(attempt, COUNTS, own).microdollars == cost


def test_hours_and_weekdays_of_an_own_price_are_utc():
    night = Price(input=1, output=1, hours="22:00-02:00", weekdays="mon-fri")
    prices = Prices({"gpt-5.5": night})
    at = {
        "2026-11-25T21:59:59Z": 4700,
        "2026-11-25T22:00:00Z": 1050,
        "2026-11-26T01:59:59Z": 1050,
        "2026-11-26T02:00:00Z": 4700,
        "2026-11-28T23:00:00Z": 4700,
    }
    for text, cost in at.items():
        attempt = CODEX._replace(occurred_at=instant(text))
        result = prices.cost(attempt, COUNTS)
        assert result.microdollars == cost, text


def test_the_lifetime_of_claudes_cache_follows_from_the_login_unless_a_setting_says_so():
    counts = Counts(1000, 0, 1000, 0, 0)
    oauth = Attempt("claude", "claude-sonnet-4-6", NOW, auth_type="oauth", client="laptop")
    key = oauth._replace(auth_type="apikey")
    for lifetimes, costs in (
        ({}, (6000, 3750)),
        ({"*": "5m"}, (3750, 3750)),
        ({"laptop": "1h", "*": "5m"}, (6000, 6000)),
    ):
        prices = Prices({}, cache_lifetimes=lifetimes)
        results = [prices.cost(a, counts) for a in (oauth, key)]
        assert tuple(result.microdollars for result in results) == costs


def test_what_the_cache_saved_counts_reads_and_takes_off_the_extra_price_of_writes():
    # 60,000 reads at 0.5 instead of 5, 5,000 writes at 6.25 instead of 5.
    counts = Counts(66_000, 60_000, 5_000, 0, 0)
    result = price(Attempt("claude", "claude-opus-5", NOW), counts)
    assert result.saved == 60_000 * 4.5 - 5_000 * 1.25


def test_a_wrong_own_price_gets_a_sentence():
    wrong = {
        "a": Price(input=1),
        "b": Price(),
        "c": Price(input=1, output=1, hours="25:00-26:00"),
        "d": Price(input=1, output=1, weekdays="monday"),
        "e": Price(input=1, output=1, since="tomorrow"),
        "f": Price(input=1, output=1, tier="gold"),
        "g": Price(input=1, output=1, steps=(Step(above=9), Step(above=3))),
    }
    sentences = problems(wrong)
    assert [sentence.split("'")[1] for sentence in sentences] == sorted(wrong)
    assert problems({"gpt-*": FLAT, "*": Price(multiplier=0.7)}) == []


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


TIMED = [
    model
    for provider in lists().providers.values()
    for model in provider.models
    if periods(model, ())
]


@given(st.lists(st.tuples(st.integers(-800, 200), st.integers(0, DAY)), max_size=12))
@settings(max_examples=8, deadline=None)
def test_a_price_of_its_time_is_remembered_for_no_other_time(instants):
    for model in TIMED:
        plan = Plan(Match("list", model, "", True), [], tier="", is_hour=False, version="")
        for day, ms in instants:
            at = NOW + day * DAY + ms
            price = model.get_prices(datetime.fromtimestamp(at / 1000, UTC))
            rates = plan.rates_at(at)
            if has_token_prices(price):
                assert (rates.starts, rates.steps) == package_steps(price), (model.id, at)


def test_a_setting_names_the_list_of_a_relay():
    attempt = Attempt("openai-compatible-1", "glm-5.2", NOW)
    for chosen, model, rule in (
        ({}, "zai/GLM-5.2", "vendor's list"),
        ({"1": "zhipuai"}, "zhipuai/GLM-5.2", "list of the settings"),
        ({"openai-compatible-1": "zhipuai"}, "zhipuai/GLM-5.2", "list of the settings"),
        ({"2": "zhipuai"}, "zai/GLM-5.2", "vendor's list"),
    ):
        rates = Prices({}, price_lists=chosen).plan(attempt).rates_at(NOW)
        assert (rates.model, rates.rule) == (model, rule)


def test_a_list_that_there_is_not_gets_a_sentence():
    with pytest.raises(SystemExit, match="price_lists is malformed: it must name lists among"):
        Prices.configured(Settings(price_lists={"my-relay": "open-router"}))


def test_a_price_is_explained_with_its_list_and_rule():
    attempt = Attempt("openai-compatible-zai", "glm-4.7[1m]", NOW)
    first, source, rule, tier_line, *_ = explain(Prices({}), attempt)
    assert first == "glm-4.7[1m] of openai-compatible-zai is priced as zai/GLM-4.7"
    assert source.split()[1] == "genai-prices"
    assert rule.endswith("provider's list, without [1m]")
    assert tier_line.endswith("standard")


@pytest.mark.parametrize("model", ["who-knows", "whisper-1"])
def test_a_missing_price_is_explained_with_what_to_do(model):
    first, remedy = explain(Prices({}), Attempt("", model, NOW))
    assert first == f"{model}: cost unknown."
    assert "set " in remedy
    assert "ledger reprice" in remedy
