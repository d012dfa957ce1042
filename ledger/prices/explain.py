"""What a model costs and by which rule, as text for people."""

from collections.abc import Iterator

from ledger.prices.calculator import NO_PRICE, UNIT, Attempt, Prices
from ledger.prices.rates import Rates, Step

KINDS = {
    "input": "input",
    "cache_read": "cache read",
    "cache_write": "cache write, 5 minutes",
    "cache_write_1h": "cache write, 1 hour",
    "output": "output",
    "reasoning": "reasoning",
}
REMEDIES = {
    NO_PRICE: "No price is known for it: set one in `prices`, see docs/costs.md, "
    "then run `ledger reprice`.",
    UNIT: "It is billed by a unit that usage events do not count: set a price for the request in "
    "`prices`, see docs/costs.md, then run `ledger reprice`.",
}


def explain(prices: Prices, attempt: Attempt) -> Iterator[str]:
    """Yield the lines that say what an attempt would cost, for a million tokens of each kind."""
    plan = prices.plan(attempt)
    rates = plan.rates_at(attempt.occurred_at)
    name = f"{attempt.model} of {attempt.provider}" if attempt.provider else attempt.model
    if rates is None:
        yield f"{name}: cost unknown."
        yield REMEDIES[plan.reason]
        return
    yield f"{name} is priced as {rates.model}"
    yield f"  source  {' '.join(filter(None, (rates.source, rates.version)))}"
    yield f"  rule    {rates.rule}"
    yield f"  tier    {rates.tier or 'standard'}"
    yield from steps(rates)
    yield f"Cache writes count as those of {'an hour' if plan.is_hour else 'five minutes'}."


def steps(rates: Rates) -> Iterator[str]:
    """Yield the prices of each length of input, in dollars for a million tokens."""
    for start, step in zip([0, *rates.starts], rates.steps, strict=True):
        title = f"more than {start:,} input tokens" if start else "dollars for a million tokens"
        yield title
        yield from kinds(step)


def kinds(step: Step) -> Iterator[str]:
    """Yield the price of each kind of token."""
    for field, kind in KINDS.items():
        yield f"  {kind:22}  {getattr(step, field):>10,.4f}"
    if step.request:
        yield f"  {'each request':22}  {step.request / 1e6:>10,.6f}"
