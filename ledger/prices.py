"""What an attempt would cost at list price, in micro-dollars: an estimate, null when unknown.

Prices come from the `genai-prices` package as of the event's time, or from the user's own
`prices`. One dollar for a million tokens is one micro-dollar for a token. A provider's long-context
step applies to the whole request once its input is longer than the step's start.
"""

from bisect import bisect_left
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from ledger.own_prices import Price

VERSION = version("genai-prices")
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


class Counts(NamedTuple):
    """The tokens of an attempt: input holds cached and cache_write."""

    input: int
    cached: int
    cache_write: int
    output: int


class Step(NamedTuple):
    """Micro-dollars for a token of each kind, and for the request itself."""

    input: float
    cache_read: float
    cache_write: float
    output: float
    request: float = 0.0


class Rates(NamedTuple):
    """A model's steps by length of input, and where they are from."""

    starts: list[int]
    steps: list[Step]
    source: str
    version: str
    model: str

    def cost(self, counts: Counts) -> int:
        """Give the cost in micro-dollars, rounded half to even."""
        step = self.steps[bisect_left(self.starts, counts.input)]
        fresh = counts.input - counts.cached - counts.cache_write
        return round(
            fresh * step.input
            + counts.cached * step.cache_read
            + counts.cache_write * step.cache_write
            + counts.output * step.output
            + step.request
        )


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


def own_rates(pattern: str, price: Price) -> Rates:
    """Give the rates of a user's own price."""
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    return Rates([], [Step(price.input, read, write, price.output)], "config", "", pattern)


def package_rates(name: str, price: ModelPrice) -> Rates:
    """Give the rates of one of the package's prices, one step for each length it knows."""
    kinds = [
        price.input_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.output_mtok,
        price.requests_kcount,
    ]
    tiered = [kind for kind in kinds if isinstance(kind, TieredPrices)]
    starts = sorted({tier.start for kind in tiered for tier in kind.tiers})
    steps = [step(kinds, length) for length in (0, *(start + 1 for start in starts))]
    return Rates(starts, steps, "genai-prices", VERSION, name)


def step(kinds: list[object], length: int) -> Step:
    """Give what each kind of token costs when the input is so long; cache falls back to input."""
    fresh, read, write, said, requests = (at_length(kind, length) for kind in kinds)
    fresh = fresh or 0.0
    return Step(
        fresh,
        fresh if read is None else read,
        fresh if write is None else write,
        said or 0.0,
        # Dollars for a thousand requests.
        (requests or 0.0) * 1000,
    )


def at_length(kind: object, length: int) -> float | None:
    """Give one price at a length of input."""
    if kind is None:
        return None
    if not isinstance(kind, TieredPrices):
        return float(kind)  # type: ignore[arg-type]
    applying = [tier.price for tier in kind.tiers if length > tier.start]
    return float(applying[-1] if applying else kind.base)
