"""How many models have no price: the proxy's own, the package's lists, names as people write them.

The table of docs/costs.md has these numbers.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from ledger.prices.calculator import Attempt, Prices
from ledger.prices.corrections import CORRECTIONS
from ledger.prices.rates import has_token_prices
from ledger.prices.snapshot import lists
from tests.support.home import ROOT
from tests.support.price_cases import DATA

NOW = 1_795_608_000_000
MOMENT = datetime.fromtimestamp(NOW / 1000, UTC)
# They have no published price by the token.
REGISTRY_UNPRICED = {"codex-auto-review", "gpt-5.3-codex-spark", "grok-composer-2.5-fast"}
# The first is any of several models by the length of input; the two are on no list.
NAMES_UNPRICED = {
    "kimi-latest",
    "deepseek-ai/DeepSeek-V3.1",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-tput",
}
PRICES = Prices({})

Names = list[tuple[str, str]]


def names(file: str) -> Names:
    """Return the providers and models of a file, without its head."""
    lines = (DATA / file).read_text("utf-8").splitlines()[1:]
    return [(provider, model) for provider, model in (line.split("\t") for line in lines)]


def unpriced(pairs: Iterable[tuple[str, str]]) -> Names:
    """Return those that have no price."""
    return [
        (provider, model)
        for provider, model in pairs
        if PRICES.plan(Attempt(provider, model, NOW)).rates_at(NOW) is None
    ]


def listed() -> Names:
    """Return every model that a list bills by the token, at a relay of the list's name."""
    return [
        (f"openai-compatible-{list_id}", model.id)
        for list_id, provider in lists().providers.items()
        for model in provider.models
        if list_id not in CORRECTIONS or model.id not in CORRECTIONS[list_id]
        if has_token_prices(model.get_prices(MOMENT))
    ]


def registry() -> Names:
    """Return the text models that the proxy itself lists: Imagen is billed by the picture."""
    return [pair for pair in names("registry.tsv") if not pair[1].startswith("imagen-")]


def test_the_proxys_own_models_have_a_price():
    assert {model for _, model in unpriced(registry())} == REGISTRY_UNPRICED


def test_every_model_of_every_list_has_a_price_at_a_relay_of_its_name():
    assert unpriced(listed()) == []


def test_names_as_people_write_them_have_a_price():
    assert {model for _, model in unpriced(names("names.tsv"))} == NAMES_UNPRICED


def test_every_model_of_openrouters_list_is_priced_by_it():
    models = [model for provider, model in listed() if provider.endswith("-openrouter")]
    assert len(models) > 900
    for model in models:
        rates = PRICES.plan(Attempt("openai-compatible-openrouter", model, NOW)).rates_at(NOW)
        assert rates.model == f"openrouter/{model}"


def test_the_document_has_the_shares():
    page = (ROOT / "docs" / "costs.md").read_text("utf-8")
    for title, pairs in (
        ("text models that the proxy v7.2.140 itself lists", registry()),
        ("models that the package's lists bill by the token", listed()),
        ("names as people write them", names("names.tsv")),
    ):
        lacking, count = len(unpriced(pairs)), len(pairs)
        share = f"{100 * lacking / count:.1f} %"
        [row] = [line for line in page.splitlines() if line.startswith(f"| {title}")]
        assert row.endswith(f"| {count:,} | {lacking} | {share} |"), (title, count, lacking, share)
