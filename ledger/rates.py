"""The rates of one model: what a token of each kind costs.

One dollar for a million tokens is one micro-dollar for a token. A provider's long-context step
applies to the whole request once its input is longer than the step's start.
"""

from bisect import bisect_left
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.types import ModelPrice, TieredPrices

from ledger.own_prices import Price

VERSION = version("genai-prices")


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
