"""The models of the demo: how long their contexts, answers and waits usually are."""

import math
from dataclasses import dataclass
from random import Random

from demo.payload import Breakdown, Input, Output, Tokens

LONGEST_CONTEXT = 380_000
LONGEST_LATENCY_MS = 240_000
CACHE_BLOCK = 128


@dataclass(frozen=True)
class Use:
    """What one request took: token numbers both ways, and times in milliseconds."""

    tokens: Tokens
    breakdown: Breakdown
    ttft_ms: int
    latency_ms: int


@dataclass(frozen=True, eq=False)
class Model:
    """Medians of a model. `cached` and `reasoning` are shares of input and of output."""

    name: str
    context: int
    cached: float
    output: int
    reasoning: float = 0.0
    ttft_ms: int = 900
    per_second: int = 70
    efforts: tuple[str, ...] = ("",)


def spread(rng: Random, median: float, sigma: float) -> float:
    """Draw a log-normal number."""
    return median * math.exp(sigma * rng.gauss())


def use(rng: Random, model: Model, *, provider: str, growth: float = 1.0) -> Use:
    """Draw one successful request; `growth` stretches the context of a long conversation."""
    context = int(min(200 + spread(rng, model.context, 0.9) * growth, LONGEST_CONTEXT))
    share = min(model.cached * (0.7 + 0.4 * rng.random()), 0.995)
    read = int(context * share) if rng.random() < 0.85 else 0
    output = int(20 + spread(rng, model.output, 0.8))
    reasoning = int(output * model.reasoning * rng.random() * 1.3) if model.reasoning else 0
    count = {"claude": independent, "antigravity": separate}.get(provider, subset)
    tokens, breakdown = count(context, read=read, output=output, reasoning=min(reasoning, output))
    ttft = spread(rng, model.ttft_ms, 0.45)
    latency = ttft + 1000 * output / (model.per_second * (0.6 + 0.8 * rng.random()))
    return Use(tokens, breakdown, int(ttft), int(min(latency, LONGEST_LATENCY_MS)))


def subset(context: int, *, read: int, output: int, reasoning: int) -> tuple[Tokens, Breakdown]:
    """Count as OpenAI does: cache reads are input, reasoning is output."""
    read -= read % CACHE_BLOCK
    total = context + output
    tokens = Tokens(context, output, reasoning, read, read, total_tokens=total)
    return tokens, _complete(Input(context, context - read, read), output, reasoning)


def independent(
    context: int, *, read: int, output: int, reasoning: int
) -> tuple[Tokens, Breakdown]:
    """Count as Claude does: input is only what was neither read from nor written to the cache."""
    write = (context - read) * 3 // 4
    uncached = context - read - write
    total = context + output
    tokens = Tokens(uncached, output, reasoning, read or write, read, True, write, total)
    return tokens, _complete(Input(context, uncached, read, write), output, reasoning)


def separate(context: int, *, read: int, output: int, reasoning: int) -> tuple[Tokens, Breakdown]:
    """Count as Gemini does: thoughts come on top of the output."""
    total = context + output + reasoning
    tokens = Tokens(context, output, reasoning, read, read, total_tokens=total)
    return tokens, _complete(Input(context, context - read, read), output + reasoning, reasoning)


def total_only(total: int) -> tuple[Tokens, Breakdown]:
    """Count as upstreams do that tell nothing but a total."""
    breakdown = Breakdown(quality="unclassified", total_tokens=total, unclassified_tokens=total)
    return Tokens(total_tokens=total), breakdown


def _complete(read_in: Input, output: int, reasoning: int) -> Breakdown:
    total = read_in.total_tokens + output
    written = Output(output, output - reasoning, reasoning)
    return Breakdown(total_tokens=total, input=read_in, output=written)


_EFFORTS = ("low", "medium", "medium", "high", "high", "xhigh", "")
_THINKING = ("", "", "medium", "high")

GPT = Model("gpt-5.5", 42_000, 0.90, 900, 0.6, 1300, 75, _EFFORTS)
GPT_MINI = Model("gpt-5.4-mini", 9_000, 0.6, 500, 0.4, 600, 140, _EFFORTS)
GPT_SOL = Model("gpt-5.6-sol", 60_000, 0.92, 1600, 0.7, 1900, 60, _EFFORTS)
SPARK = Model("gpt-5.3-codex-spark", 14_000, 0.8, 700, 0.3, 220, 900, ("", "low", "medium"))
IMAGE = Model("gpt-image-2", 412, 0.0, 4160)
OPUS = Model("claude-opus-5", 70_000, 0.97, 900, 0.4, 1700, 55, _THINKING)
SONNET = Model("claude-sonnet-5", 48_000, 0.96, 800, 0.3, 1200, 80, _THINKING)
HAIKU = Model("claude-haiku-4-5-20251001", 6_000, 0.7, 300, 0.0, 500, 160)
GEMINI_PRO = Model("gemini-3-pro-preview", 24_000, 0.6, 700, 0.5, 1800, 90, ("auto",))
GEMINI_FLASH = Model("gemini-2.5-flash", 8_000, 0.5, 500, 0.3, 450, 190, ("auto",))
KIMI_K2 = Model("kimi-k2.6", 20_000, 0.75, 900, 0.4, 1100, 60)
GROK = Model("grok-4.3", 12_000, 0.5, 600, 0.4, 900, 85)
LUMEN_LARGE = Model("lumen-large-2", 3_000, 0.0, 400, 0.0, 350, 110)
