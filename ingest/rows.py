"""An attempt as a row of `usage_events`: small integers for its names, and its cost."""

from ingest.names import Names
from ingest.parse import Usage
from ingest.payload import Payload
from ledger.prices import Counts, Prices, Spent


class Rows:
    """Makes the rows of one proxy's events."""

    def __init__(self, names: Names, prices: Prices) -> None:
        self._names = names
        self._prices = prices

    def forget(self) -> None:
        """Forget the ids that a transaction gave and then took back."""
        self._names.forget()

    def credential(self, payload: Payload) -> int:
        """Give the id of the credential of an attempt."""
        return self._names.credential(payload)

    def row(self, usage: Usage) -> tuple[object, ...]:
        """Give the values of one event, in the order of the insert."""
        payload, tokens, named = usage.payload, usage.tokens, self._names.named
        model_id = named("known_models", payload.model or "unknown")
        alias_id = named("known_models", payload.alias)
        return (
            usage.occurred_at,
            usage.hash,
            self._names.credential(payload),
            model_id,
            None if alias_id == model_id else alias_id,
            self._names.client(payload.api_key),
            named("known_endpoints", payload.endpoint),
            named("known_executors", payload.executor_type),
            named("known_efforts", payload.reasoning_effort),
            named("known_tiers", payload.response_service_tier or payload.service_tier),
            payload.failed,
            payload.generate is False,
            usage.failure.status if usage.failure else None,
            payload.latency_ms,
            payload.ttft_ms or None,
            tokens.input,
            tokens.cached,
            tokens.cache_write,
            tokens.output,
            tokens.reasoning,
            tokens.unclassified,
            tokens.total,
            payload.request_id or None,
            *self._cost(usage),
        )

    def _cost(self, usage: Usage) -> tuple[int | None, int | None]:
        """Give the cost in micro-dollars and the id of the price it went by."""
        tokens, payload = usage.tokens, usage.payload
        spent = Spent(
            payload.provider,
            payload.model,
            usage.occurred_at,
            tokens.total,
            tokens.unclassified,
        )
        counts = Counts(tokens.input, tokens.cached, tokens.cache_write, tokens.output)
        cost, rates = self._prices.cost(spent, counts)
        return cost, rates and self._names.price(rates)
