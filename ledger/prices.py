"""What an attempt would cost at list price, in micro-dollars: an estimate, null when unknown.

Prices come from the `genai-prices` package as of the event's time, or from the user's own
`prices`."""

import sqlite3
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo

from ledger.own_prices import Price
from ledger.rates import Counts, Rates, own_rates, package_rates

ADD_PRICE = """
  insert into known_prices (source, version, model) values (?, ?, ?)
  on conflict (source, version, model) do nothing
"""
FIND_PRICE = "select id from known_prices where source = ? and version = ? and model = ?"
# The proxy's provider names, where the package has the models under another.
PROVIDERS = {
    "codex": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "gemini-interactions": "google",
    "vertex": "google",
    "aistudio": "google",
    "xai": "x-ai",
    "kimi": "moonshotai",
}


class Spent(NamedTuple):
    """What else decides the cost of an attempt: who was asked for what, and when (ms, UTC)."""

    provider: str
    model: str
    occurred_at: int
    total: int
    unclassified: int


class Prices:
    """Finds the rates of each model once; the user's own patterns win, in their order."""

    def __init__(self, own: dict[str, Price]) -> None:
        self._own = {pattern: own_rates(pattern, price) for pattern, price in own.items()}
        self._models: dict[tuple[str, str], Rates | tuple[str, ModelInfo] | None] = {}
        self._rates: dict[int, Rates] = {}

    def rates(self, provider: str, model: str, occurred_at: int) -> Rates | None:
        """Give a model's rates at an instant (ms, UTC); None when no price is known."""
        at = (provider, model)
        if at not in self._models:
            self._models[at] = self._find(provider, model)
        found = self._models[at]
        if found is None or isinstance(found, Rates):
            return found
        name, info = found
        moment = datetime.fromtimestamp(occurred_at / 1000, UTC)
        price = info.get_prices(moment)
        rates = self._rates.get(id(price))
        if rates is None:
            rates = self._rates[id(price)] = package_rates(name, price)
        return rates

    def cost(self, spent: Spent, counts: Counts) -> tuple[int | None, Rates | None]:
        """Give an attempt's cost in micro-dollars, and the rates that it goes by.

        Nothing used costs nothing; of an unclassified total it is not known what was read.
        """
        if not spent.total:
            return 0, None
        rates = self.rates(spent.provider, spent.model, spent.occurred_at)
        if rates is None or spent.total == spent.unclassified:
            return None, None
        return rates.cost(counts), rates

    def _find(self, provider: str, model: str) -> Rates | tuple[str, ModelInfo] | None:
        for pattern, rates in self._own.items():
            if fnmatchcase(model.lower(), pattern.lower()):
                return rates
        known = packaged(provider, model)
        if known is None or isinstance(known[1].prices, list):
            return known
        return package_rates(known[0], known[1].prices)


def packaged(provider: str, model: str) -> tuple[str, ModelInfo] | None:
    """Find a model in the package, by the proxy's provider first and by its name alone then."""
    for provider_id in (PROVIDERS.get(provider), None):
        try:
            found, info = get_snapshot().find_provider_model(model, None, provider_id, None)
        except LookupError:
            continue
        return f"{found.id}/{info.id}", info
    return None


def price_id(conn: sqlite3.Connection, rates: Rates) -> int:
    """Give the id of what a cost went by, adding it when it is new."""
    at = (rates.source, rates.version, rates.model)
    conn.execute(ADD_PRICE, at)
    return conn.execute(FIND_PRICE, at).fetchone()[0]
