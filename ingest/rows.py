"""An attempt as a row of `usage_events`: small integers for its names, and its cost."""

from ingest.names import Names
from ingest.parse import Usage
from ingest.payload import Payload
from ledger.prices import Counts, Prices, Spent

TABLES = (
    "known_models",
    "known_models",
    "known_endpoints",
    "known_executors",
    "known_efforts",
    "known_tiers",
)


class Rows:
    """Makes the rows of one proxy's events."""

    def __init__(self, names: Names, prices: Prices, *, import_id: int | None = None) -> None:
        self._names = names
        self._import_id = import_id
        self._prices = prices
        self._known: dict[tuple[str, ...], tuple[int | None, ...]] = {}

    def forget(self) -> None:
        """Forget the ids that a transaction gave and then took back."""
        self._names.forget()
        self._known.clear()

    def credential(self, payload: Payload) -> int:
        """Give the id of the credential of an attempt."""
        return self._names.credential(payload)

    def row(self, usage: Usage) -> tuple[object, ...]:
        """Give the values of one event, in the order of the insert."""
        payload, tokens = usage.payload, usage.tokens
        model_id, alias_id, *others = self._named(payload)
        return (
            usage.occurred_at,
            usage.hash,
            self._names.credential(payload),
            model_id,
            None if alias_id == model_id else alias_id,
            self._names.client(payload.api_key),
            *others,
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
            self._import_id,
        )

    def _named(self, payload: Payload) -> tuple[int | None, ...]:
        """Give the ids of an attempt's names; the same few combinations come again and again."""
        names = (
            payload.model or "unknown",
            payload.alias,
            payload.endpoint,
            payload.executor_type,
            payload.reasoning_effort,
            payload.response_service_tier or payload.service_tier,
        )
        found = self._known.get(names)
        if found is None:
            found = self._known[names] = tuple(map(self._names.named, TABLES, names))
        return found

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
