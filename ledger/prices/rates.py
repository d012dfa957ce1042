"""The rates of one model: what a token of each kind costs.

One dollar for a million tokens is one micro-dollar for a token. A provider's long-context step
applies to the whole request once its input is longer than the step's start.
"""

from collections.abc import Iterable
from typing import NamedTuple

from genai_prices.types import ModelPrice, TieredPrices

from ledger.prices.overrides import Price
from ledger.prices.overrides import Step as OwnStep

# The kinds of tokens that usage events distinguish.
TOKEN_KEYS = ("input_mtok", "output_mtok", "output_image_mtok", "output_reasoning_mtok")


class Counts(NamedTuple):
    """The tokens of an attempt: input holds cached and cache_write, output holds reasoning.

    `unclassified` ones are beside them.
    """

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int
    unclassified: int = 0


class Step(NamedTuple):
    """Micro-dollars for a token of each kind, and for the request itself."""

    input: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    output: float
    reasoning: float
    request: float = 0.0

    def scaled(self, factor: float) -> "Step":
        """Return every price multiplied by a factor."""
        return Step(*(price * factor for price in self))


class Rates(NamedTuple):
    """A model's steps by length of input, and where they come from.

    `source` is `genai-prices`, `correction` or `config`; `model` is the entry used there;
    `rule` says how it was found.
    """

    starts: list[int]
    steps: list[Step]
    source: str
    version: str
    model: str
    rule: str
    tier: str


def own_steps(price: Price) -> tuple[list[int], list[Step]]:
    """Return the steps of a user's own price; cache prices default to input's."""
    starts, steps = [0], [_own_step(price)]
    for step in price.steps:
        starts.append(step.above)
        price = _with_step(price, step)
        steps.append(_own_step(price))
    factor = 1.0 if price.multiplier is None else price.multiplier
    return starts[1:], [step.scaled(factor) for step in steps]


def _with_step(price: Price, step: OwnStep) -> Price:
    """Return a price with the changes of a step."""
    import msgspec

    names = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    changed = {name: value for name in names if (value := getattr(step, name)) is not None}
    return msgspec.structs.replace(price, **changed)


def _own_step(price: Price) -> Step:
    input_price, output = price.input or 0.0, price.output or 0.0
    write = input_price if price.cache_write is None else price.cache_write
    return Step(
        input=input_price,
        cache_read=input_price if price.cache_read is None else price.cache_read,
        cache_write=write,
        cache_write_1h=write if price.cache_write_1h is None else price.cache_write_1h,
        output=output if price.output_image is None else price.output_image,
        reasoning=output,
        request=(price.request or 0.0) * 1e6,
    )


def package_steps(price: ModelPrice) -> tuple[list[int], list[Step]]:
    """Return the steps of one of the package's prices, one for each length that it knows."""
    kinds = [value for value in price.__dict__.values() if isinstance(value, TieredPrices)]
    starts = sorted({tier.start for kind in kinds for tier in kind.tiers})
    return starts, [
        _package_step(price, length) for length in (0, *(start + 1 for start in starts))
    ]


def has_token_prices(price: ModelPrice) -> bool:
    """Return whether a model is billed by tokens; a free model counts as such.

    Transcription by the hour, speech by the character, pages and images are not: the event
    does not count them.
    """
    keys = {key for key, value in price.__dict__.items() if value is not None}
    return not keys or not keys.isdisjoint(TOKEN_KEYS)


def _package_step(price: ModelPrice, length: int) -> Step:
    """Return what each kind of token costs when the input is so long; cache falls back to input."""
    input_price = _at_length(price.input_mtok, length) or 0.0
    output = _at_length(price.output_mtok, length) or 0.0
    write = _first(_at_length(price.cache_write_mtok, length), input_price)
    return Step(
        input=input_price,
        cache_read=_first(_at_length(price.cache_read_mtok, length), input_price),
        cache_write=_first(_at_length(price.cache_write_5m_mtok, length), write),
        cache_write_1h=_first(_at_length(price.cache_write_1h_mtok, length), write),
        # Of a model that creates images, output that is not reasoning is images.
        output=_first(_at_length(price.output_image_mtok, length), output),
        reasoning=_first(_at_length(price.output_reasoning_mtok, length), output),
        # Dollars for a thousand requests.
        request=(_at_length(price.requests_kcount, length) or 0.0) * 1000,
    )


def _first(*values: float | None) -> float:
    """Return the first value that is known."""
    return next(value for value in values if value is not None)


def _at_length(kind: object, length: int) -> float | None:
    """Return one price at a length of input."""
    if not isinstance(kind, TieredPrices):
        return None if kind is None else float(kind)  # type: ignore[arg-type]
    applying = [tier.price for tier in kind.tiers if length > tier.start]
    return float(applying[-1] if applying else kind.base)


def scaled(steps: Iterable[Step], factor: float) -> list[Step]:
    """Return every step multiplied by a factor."""
    return [step.scaled(factor) for step in steps]
