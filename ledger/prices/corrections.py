"""Corrections of the package's price list: what it lacks or has wrong, each with its source.

Every entry names the page that it was read from; all were checked on the day that `edition` names.
An entry goes when the package has it right.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

# https://api-docs.deepseek.com/quick_start/pricing: peak prices began on this day and hold on
# working days in Beijing only. The package has neither limit.
PEAKS_SINCE = date(2026, 8, 17)
BEIJING = timezone(timedelta(hours=8))
SATURDAY = 5
# The hours of DeepSeek's other models were a discount, which ended with their prices.
DEEPSEEK_PEAKED = re.compile(r"deepseek-(?:v4|flash)")
# https://docs.claude.com/en/docs/build-with-claude/prompt-caching: writing for an hour costs twice
# the price of input. The package has that price for some Claude models only.
HOUR_FACTOR = Decimal(2)
# https://ai.google.dev/gemini-api/docs/pricing: flex costs what batch costs, half of the standard
# price, and priority 1.8 times that. The package has these tiers for few models.
BATCH, FLEX, PRIORITY = (
    {"processing": "batch"},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
)
GOOGLE_FLEX, GOOGLE_PRIORITY = Decimal("0.5"), Decimal("1.8")
GOOGLE_TIERED = re.compile(r"gemini-(?:2\.5|[3-9]|nano)(?!.*(?:live|tts|audio|robotics|embedding))")


@dataclass
class WorkdayPeak(TimeOfDateConstraint):
    """DeepSeek's peak hours: on working days, from the day on which they were introduced."""

    def active(self, request_timestamp: datetime) -> bool:
        """Return whether the peak price holds at an instant (UTC if naive)."""
        if request_timestamp.tzinfo is None:
            request_timestamp = request_timestamp.replace(tzinfo=UTC)
        if request_timestamp.astimezone(UTC).date() < PEAKS_SINCE:
            return False
        is_workday = request_timestamp.astimezone(BEIJING).weekday() < SATURDAY
        return is_workday and super().active(request_timestamp)


def _flat(**dollars: str) -> ModelPrice:
    """Return a price from dollars for a million tokens."""
    return ModelPrice(**{f"{kind}_mtok": Decimal(amount) for kind, amount in dollars.items()})


def _stepped(starts: int | tuple[int, ...], **dollars: tuple[str, ...]) -> ModelPrice:
    """Return a price with steps: up to the first of `starts`, then beyond each of them."""
    starts = (starts,) if isinstance(starts, int) else starts
    return ModelPrice(
        **{
            f"{kind}_mtok": TieredPrices(
                Decimal(base),
                [Tier(*step) for step in zip(starts, map(Decimal, beyond), strict=True)],
            )
            for kind, (base, *beyond) in dollars.items()
        }
    )


def _deepseek_chat(fresh: str, read: str, output: str) -> list[ConditionalPrice]:
    """Return the prices of DeepSeek's two first names: one of their own, then a common one."""
    return [
        ConditionalPrice(prices=_flat(input=fresh, cache_read=read, output=output)),
        ConditionalPrice(
            StartDateConstraint(date(2025, 9, 6)),
            prices=_flat(input="0.56", cache_read="0.07", output="1.68"),
        ),
        ConditionalPrice(
            StartDateConstraint(date(2025, 9, 29)),
            prices=_flat(input="0.28", cache_read="0.028", output="0.42"),
        ),
    ]


# Alibaba's steps of its longer models.
ALIBABA_STEPS = (32_000, 128_000, 256_000)
XAI_STEP = 199_999
OPENAI_STEP = 272_000
# Model by list: the entry that replaces the package's entry, or is added to its entries.
CORRECTIONS: dict[str, dict[str, ModelPrice | list[ConditionalPrice]]] = {
    # https://platform.claude.com/docs/en/about-claude/pricing
    "anthropic": {
        "claude-mythos-5-1": _flat(
            input="10", cache_read="0.25", cache_write="12.5", cache_write_1h="20", output="50"
        ),
        "claude-mythos-5": _flat(
            input="10", cache_read="1", cache_write="12.5", cache_write_1h="20", output="50"
        ),
        "claude-mythos-preview": _flat(
            input="10", cache_read="1", cache_write="12.5", cache_write_1h="20", output="50"
        ),
    },
    # https://developers.openai.com/api/docs/pricing
    "openai": {
        "gpt-6-astra-law": _flat(input="10", cache_read="1", output="50"),
        # The package lacks the step of this model alone of its family.
        "gpt-5.6-cyber": _stepped(
            OPENAI_STEP,
            input=("12.5", "25"),
            cache_read=("1.25", "2.5"),
            cache_write=("15.625", "31.25"),
            output=("75", "112.5"),
        ),
        "gpt-daybreak-red-latest": _stepped(
            OPENAI_STEP,
            input=("12.5", "25"),
            cache_read=("1.25", "2.5"),
            cache_write=("15.625", "31.25"),
            output=("75", "112.5"),
        ),
        "gpt-daybreak-blue-latest": _stepped(
            OPENAI_STEP,
            input=("4", "8"),
            cache_read=("0.4", "0.8"),
            cache_write=("5", "10"),
            output=("20", "30"),
        ),
        "gpt-image-2.6-flare": _flat(input="5", cache_read="1.25", output_image="30"),
        "gpt-image-2.6-sunburst": _flat(input="5", cache_read="1.25", output_image="30"),
    },
    # https://ai.google.dev/gemini-api/docs/pricing
    "google": {
        "gemini-4-hydrogen": _flat(input="1.5", cache_read="0.075", output="7.5"),
        "gemini-2.5-computer-use-preview-10-2025": _stepped(
            200_000, input=("1.25", "2.5"), output=("10", "15")
        ),
        # https://cloud.google.com/gemini-enterprise-agent-platform/generative-ai/pricing
        # The package takes it for gemini-3.8-flash.
        "gemini-3.8-flash-cyber": _flat(input="1.5", cache_read="0.15", output="7.5"),
    },
    # https://api.x.ai/v1/language-models
    "x-ai": {
        # Since it was retired on 2026-05-15, the name is served and billed as grok-build-0.1.
        "grok-code-fast-1": [
            ConditionalPrice(prices=_flat(input="0.2", cache_read="0.02", output="1.5")),
            ConditionalPrice(
                StartDateConstraint(date(2026, 5, 15)),
                prices=_stepped(
                    XAI_STEP, input=("1", "2"), cache_read=("0.2", "0.4"), output=("2", "4")
                ),
            ),
        ],
        "grok-build-latest": _stepped(
            XAI_STEP, input=("2", "4"), cache_read=("0.3", "0.6"), output=("6", "12")
        ),
    },
    "moonshotai": {
        # https://platform.moonshot.ai/docs/pricing/chat: the name is that of kimi-k2-0711-preview;
        # the package has a relay's price, without the cache.
        "kimi-k2": _flat(input="0.6", cache_read="0.15", output="2.5"),
    },
    # https://mistral.ai/pricing
    "mistral": {
        "mistral-large-latest": [
            ConditionalPrice(prices=_flat(input="2", output="6")),
            ConditionalPrice(
                StartDateConstraint(date(2025, 12, 2)),
                prices=_flat(input="0.5", cache_read="0.05", output="1.5"),
            ),
        ],
    },
    "deepseek": {
        # https://api-docs.deepseek.com/news/news250929: the package has the prices of before.
        "deepseek-chat": _deepseek_chat("0.27", "0.07", "1.1"),
        "deepseek-reasoner": _deepseek_chat("0.55", "0.14", "2.19"),
        "deepseek-r1": _flat(input="0.55", cache_read="0.14", output="2.19"),
        "deepseek-v3": _flat(input="0.27", cache_read="0.07", output="1.1"),
        # The package has a relay's price, without the cache.
        "deepseek-v3.2": _flat(input="0.28", cache_read="0.028", output="0.42"),
    },
    # https://docs.z.ai/guides/overview/pricing
    "zai": {
        "glm-5-code": _flat(input="1.2", cache_read="0.3", output="5"),
        "glm-5v-turbo": _flat(input="1.2", cache_read="0.24", output="4"),
        "glm-4.7-flash": _flat(input="0", output="0"),
        "glm-4.5-flash": _flat(input="0", output="0"),
    },
    # https://platform.minimax.io/docs/guides/pricing-paygo
    "minimax": {
        "minimax-m2.1-lightning": _flat(
            input="0.3", cache_read="0.03", cache_write="0.375", output="2.4"
        ),
        "minimax-m2.5-lightning": _flat(
            input="0.3", cache_read="0.03", cache_write="0.375", output="2.4"
        ),
    },
    # https://www.alibabacloud.com/help/en/model-studio/models, international list in dollars.
    # The package has no list of Alibaba's.
    "dashscope": {
        "qwen3.8-max": _flat(input="2", cache_read="0.25", output="6"),
        "qwen3.8-flash": _flat(input="0.15", cache_read="0.016", cache_write="0.2", output="0.47"),
        "qwen3.8-omni-flash": _flat(input="0.15", cache_read="0.016", output="0.47"),
        "qwen3.7-max": _flat(input="2.5", cache_read="0.5", cache_write="3.125", output="7.5"),
        "qwen3.7-plus": _stepped(
            256_000, input=("0.4", "1.2"), cache_read=("0.08", "0.24"), output=("1.6", "4.8")
        ),
        "qwen3.5-plus": _stepped(256_000, input=("0.4", "0.5"), output=("2.4", "3")),
        "qwen3-max": _stepped(
            ALIBABA_STEPS[:2], input=("1.2", "2.4", "3"), output=("6", "12", "15")
        ),
        "qwen3-coder-plus": _stepped(
            ALIBABA_STEPS,
            input=("1", "1.8", "3", "6"),
            cache_read=("0.1", "0.18", "0.3", "0.6"),
            output=("5", "9", "15", "60"),
        ),
        "qwen3-coder-flash": _stepped(
            ALIBABA_STEPS,
            input=("0.3", "0.5", "0.8", "1.6"),
            cache_read=("0.08", "0.12", "0.2", "0.4"),
            output=("1.5", "2.5", "4", "9.6"),
        ),
        "qwen3-vl-plus": _stepped(
            ALIBABA_STEPS[:2], input=("0.2", "0.3", "0.6"), output=("1.6", "2.4", "4.8")
        ),
        "qwen3-vl-235b-a22b-instruct": _flat(input="0.4", output="1.6"),
        "qwen3-vl-235b-a22b-thinking": _flat(input="0.4", output="4"),
        "qwen3-vl-32b-instruct": _flat(input="0.16", output="0.64"),
        "qwen3-vl-32b-thinking": _flat(input="0.16", output="2.87"),
        "qwen3-next-80b-a3b-instruct": _flat(input="0.15", output="1.2"),
        "qwen3-next-80b-a3b-thinking": _flat(input="0.15", output="1.2"),
        "qwen-max": _flat(input="1.6", output="6.4"),
        "qwen-plus": _flat(input="0.4", output="1.2"),
        "qwen-plus-latest": _stepped(256_000, input=("0.4", "1.2"), output=("1.2", "3.6")),
        "qwen-flash": _stepped(256_000, input=("0.05", "0.25"), output=("0.4", "2")),
        "qwen-turbo": _flat(input="0.05", output="0.2", output_reasoning="0.5"),
        "qwen-coder": _flat(input="0.3", output="1.5"),
        "qwq-plus": _flat(input="0.8", output="2.4"),
        "deepseek-v4-flash": _flat(input="0.2", cache_read="0.04", output="0.4"),
        "deepseek-v4-pro": _flat(input="2.4", cache_read="0.2", output="4.8"),
        "glm-5.2": _flat(input="1.4", cache_read="0.28", output="4.4"),
    },
}
# Corrections that hold for more names than their own.
CLAUSES: dict[str, MatchLogic] = {
    "grok-code-fast-1": ClauseStartsWith("grok-code-fast"),
    "deepseek-r1": ClauseStartsWith("deepseek-r1"),
}


def corrected(snapshot: DataSnapshot) -> dict[str, Provider]:
    """Return the lists of a snapshot by their id, with the corrections in them."""
    lists = {provider.id: _corrected_list(provider) for provider in snapshot.providers}
    for list_id in CORRECTIONS.keys() - lists.keys():
        models = [_model(name, prices) for name, prices in CORRECTIONS[list_id].items()]
        lists[list_id] = Provider(list_id, list_id, r"(?!)", models=models)
    return lists


@cache
def is_correction(list_id: str, model_id: str) -> bool:
    """Return whether the price of a list's model is from here."""
    return model_id in CORRECTIONS.get(list_id, {})


def _corrected_list(provider: Provider) -> Provider:
    """Return a copy of a list with its corrections; the package's own objects stay as they are."""
    corrections, adjust = CORRECTIONS.get(provider.id, {}), ADJUSTMENTS.get(provider.id)
    if not corrections and not adjust:
        return provider
    # A correction comes first, so that no looser pattern of another model takes its name.
    models = [_model(name, prices, CLAUSES.get(name)) for name, prices in corrections.items()]
    models += provider.models
    result = copy.copy(provider)
    result.models = [adjust(model) for model in models] if adjust else models
    return result


def _model(
    name: str, prices: ModelPrice | list[ConditionalPrice], clause: MatchLogic | None = None
) -> ModelInfo:
    """Return a model of the names in a clause, or of its own alone."""
    return ModelInfo(name, clause or ClauseEquals(name), prices=prices)


def _with_workdays(model: ModelInfo) -> ModelInfo:
    """Return a model of DeepSeek's whose peak hours hold on working days only."""
    if not isinstance(model.prices, list) or not DEEPSEEK_PEAKED.match(model.id):
        return model
    result = copy.copy(model)
    result.prices = [_on_workdays(price) for price in model.prices]
    return result


def _on_workdays(price: ConditionalPrice) -> ConditionalPrice:
    """Return a price whose hours hold on working days only."""
    constraint = price.constraint
    if not isinstance(constraint, TimeOfDateConstraint):
        return price
    peak = WorkdayPeak(constraint.start_time, constraint.end_time)
    return ConditionalPrice(peak, prices=price.prices)


def _with_hours(model: ModelInfo) -> ModelInfo:
    """Return a model of Anthropic's with prices of cache writes that live for an hour."""
    result = copy.copy(model)
    if isinstance(model.prices, list):
        result.prices = [
            ConditionalPrice(price.constraint, prices=_with_hour(price.prices))
            for price in model.prices
        ]
    else:
        result.prices = _with_hour(model.prices)
    return result


def _with_hour(price: ModelPrice) -> ModelPrice:
    """Return a price with one for cache writes of an hour, if it has one for shorter ones."""
    fresh = price.input_mtok
    if price.cache_write_mtok is None or price.cache_write_1h_mtok is not None or fresh is None:
        return price
    result = copy.copy(price)
    result.__dict__["cache_write_1h_mtok"] = _times(fresh, HOUR_FACTOR)
    return result


def _with_tiers(model: ModelInfo) -> ModelInfo:
    """Return a model of Google's with the tiers that the package does not know of it."""
    if not GOOGLE_TIERED.match(model.id):
        return model
    variants = list(model.price_variants or ())
    known = [variant.when for variant in variants]
    batch = [variant for variant in variants if variant.when == BATCH]
    if not batch:
        batch = _scaled_variants(model, BATCH, GOOGLE_FLEX)
        variants += batch
    if FLEX not in known:
        variants += [PriceVariant(FLEX, one.prices, one.constraint) for one in batch]
    if PRIORITY not in known:
        variants += _scaled_variants(model, PRIORITY, GOOGLE_PRIORITY)
    result = copy.copy(model)
    result.price_variants = variants
    return result


def _scaled_variants(model: ModelInfo, when: dict[str, str], factor: Decimal) -> list[PriceVariant]:
    """Return the standard prices of a model times a factor, the newest first."""
    prices = (
        model.prices
        if isinstance(model.prices, list)
        else [ConditionalPrice(None, prices=model.prices)]
    )
    return [
        PriceVariant(when, _scaled(price.prices, factor), price.constraint)
        for price in reversed(prices)
    ]


def _scaled(price: ModelPrice, factor: Decimal) -> ModelPrice:
    """Return what a price has for tokens, times a factor."""
    kinds = {
        kind: _times(value, factor)
        for kind, value in price.__dict__.items()
        if value is not None and kind.endswith("_mtok")
    }
    return ModelPrice(**kinds)


def _times(price: Decimal | TieredPrices, factor: Decimal) -> Decimal | TieredPrices:
    """Return a price times a factor, in each of its steps."""
    if not isinstance(price, TieredPrices):
        return price * factor
    steps = [Tier(tier.start, tier.price * factor) for tier in price.tiers]
    return TieredPrices(price.base * factor, steps)


ADJUSTMENTS: dict[str, Callable[[ModelInfo], ModelInfo]] = {
    "deepseek": _with_workdays,
    "anthropic": _with_hours,
    "google": _with_tiers,
}
