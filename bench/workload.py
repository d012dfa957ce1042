"""The reference workload: who uses what, when, and the payloads that say so."""

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from bench import shapes

Kind = Literal["thin", "fat", "mixed"]

DAY = 86_400
DAYS, DAYS_OF_LATE, LATE_SHARE = 90, 30, 0.375
FAILED = 0.01
# An event is told of when it ends, so neighbours may come in the wrong order.
DISORDER_SECONDS = 10.0
FIVE_HOURS, WEEK = 5 * 3600, 7 * DAY

ACCOUNTS = [f"user{number:03d}@example.com" for number in range(500)]
CLIENTS = [f"sk-bench-client-{number:04d}" for number in range(50)]
CLIENT_WEIGHTS = [(10, 3, 1)[number % 3] for number in range(len(CLIENTS))]
MODELS = [
    *("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano"),
    *("gpt-5-pro", "gpt-5.1", "gpt-5.1-codex-mini", "gpt-5.2", "gpt-5.2-pro", "gpt-5.3-codex"),
    *("gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5", "gpt-5.6-luna", "gpt-5.6-sol"),
    *("gpt-5.6-terra", "o3", "o4-mini", "claude-haiku-4-5", "claude-opus-4-1", "claude-opus-4-5"),
    *("claude-opus-4-6", "claude-opus-4-7", "claude-opus-5", "claude-sonnet-4-0"),
    *("claude-sonnet-4-5", "claude-sonnet-4-6", "claude-sonnet-5", "gemini-2.5-flash"),
    *("gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-3-pro-preview"),
    *("gemini-3.1-pro-preview", "kimi-k2.5", "kimi-k2.6", "kimi-k2-thinking", "grok-3"),
    *("grok-3-mini", "grok-4.3", "grok-code-fast-1", "deepseek-chat"),
    # Nobody has a price for these.
    *("lumen-large-2", "lumen-small-2", "house-blend-7b", "house-coder-32b"),
]
PROVIDERS = ("codex", "codex", "claude", "codex", "kimi", "claude", "codex", "xai")
EXECUTORS = {"codex": "CodexExecutor", "claude": "ClaudeExecutor", "xai": "XAIExecutor"}
HEADERS = {"codex": shapes.CODEX_HEADERS, "claude": shapes.CLAUDE_HEADERS}
EFFORTS = (b"low", b"medium", b"high", b"xhigh")
AGENTS = (b"codex_cli_rs/0.153.4 (Mac OS 15.5.0; arm64)", b"python-httpx/0.28.1", b"curl/8.14.1")
USES = 20_000
Fields = dict[bytes, object]


class Use(NamedTuple):
    """What an attempt took: tokens, and ms."""

    context: int
    cached: int
    output: int
    reasoning: int
    latency: int
    ttft: int


class Attempt(NamedTuple):
    """Who used what, when (unix seconds)."""

    at: float
    account: Fields
    model: bytes
    client: bytes
    use: Use


class Workload:
    """Makes up events; the same seed gives the same ones."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._accounts = [account(number) for number in range(len(ACCOUNTS))]
        self._models = [name.encode() for name in MODELS]
        self._clients = [name.encode() for name in CLIENTS]
        self._uses = [self._use() for _ in range(USES)]

    def payloads(self, moments: Sequence[float], kind: Kind = "mixed") -> list[bytes]:
        """Give one payload for each moment (unix seconds)."""
        draw, count = self._rng.choices, len(moments)
        attempts = map(
            Attempt,
            moments,
            draw(self._accounts, k=count),
            draw(self._models, k=count),
            draw(self._clients, CLIENT_WEIGHTS, k=count),
            draw(self._uses, k=count),
        )
        return [self._payload(attempt, kind) for attempt in attempts]

    def _payload(self, attempt: Attempt, kind: Kind) -> bytes:
        at, account, model, client, use = attempt
        rng = self._rng
        is_fat = kind == "fat" or (kind == "mixed" and rng.random() < 0.5)
        bits = rng.getrandbits(32)
        failed = rng.random() < FAILED
        fields: Fields = {**account, b"at": timestamp(at), b"model": model, b"key": client}
        fields |= {b"request": bits, b"failed": b"true" if failed else b"false"}
        fields |= numbers(use, account, failed=failed, jitter=1 + bits % 200 / 1000)
        fields[b"fail"] = shapes.NO_FAIL if is_fat else b""
        if failed:
            fields[b"fail"] = shapes.FAILS[bits % len(shapes.FAILS)]
        if not is_fat:
            return shapes.THIN % fields
        fields |= {b"effort": EFFORTS[bits % 4], b"agent": AGENTS[bits % 3]}
        fields[b"headers"] = account[b"template"] % {b"request": bits, **windows(int(at))}
        return shapes.FAT % fields

    def _use(self) -> Use:
        rng = self._rng
        context = 200 + int(rng.expovariate(1 / 25_000))
        output = 20 + int(rng.expovariate(1 / 900))
        ttft = int(300 + 900 * rng.lognormvariate(0, 0.6))
        latency = ttft + int(output * rng.uniform(6, 25))
        cached, reasoning = int(context * 0.95 * rng.random()), int(output * 0.7 * rng.random())
        return Use(context, cached, output, reasoning, latency, ttft)


def account(number: int) -> Fields:
    """Give what the events of an account have in common."""
    provider = PROVIDERS[number % len(PROVIDERS)]
    return {
        b"source": ACCOUNTS[number].encode(),
        b"auth_index": hashlib.sha256(ACCOUNTS[number].encode()).hexdigest()[:16].encode(),
        b"digest": hashlib.sha256(b"token %d" % number).hexdigest().encode(),
        b"provider": provider.encode(),
        b"executor": EXECUTORS.get(provider, "OpenAICompatExecutor").encode(),
        b"template": HEADERS.get(provider, shapes.OTHER_HEADERS),
    }


def numbers(use: Use, account: Fields, *, failed: bool, jitter: float) -> Fields:
    """Give the numbers of an attempt; a failed one has no tokens."""
    context, cached, output, reasoning, latency, ttft = use
    if failed:
        context = cached = output = reasoning = 0
    # Claude counts as input only what was not read from the cache.
    given = context - cached if account[b"provider"] == b"claude" else context
    return {
        b"latency": int(latency * jitter),
        b"ttft": int(ttft * jitter),
        b"given": given,
        b"input": context,
        b"uncached": context - cached,
        b"cached": cached,
        b"output": output,
        b"visible": output - reasoning,
        b"reasoning": reasoning,
        b"total": context + output,
    }


def windows(at: int) -> Fields:
    """Give what the quota headers say at a moment: two windows that fill up and reset."""
    five_hours_end, week_end = (at // length * length + length for length in (FIVE_HOURS, WEEK))
    return {
        b"five_hours_end": five_hours_end,
        b"five_hours_left": five_hours_end - at,
        b"week_end": week_end,
        b"week_left": week_end - at,
        b"used": at % FIVE_HOURS * 99 // FIVE_HOURS,
    }


def timestamp(at: float) -> bytes:
    """Give unix seconds as the proxy writes them."""
    whole = int(at)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return b"%s.%09dZ" % (text.encode(), int((at - whole) * 1e9))


def history(count: int, ends_at: float, seed: int = 0) -> Iterator[float]:
    """Give the moments of `count` events over 90 days, 37.5 % of them in the last 30."""
    rng = random.Random(seed)
    late = int(count * LATE_SHARE)
    marks = [ends_at - DAYS * DAY, ends_at - DAYS_OF_LATE * DAY, ends_at]
    for (begun, ended), many in zip(pairwise(marks), (count - late, late), strict=True):
        step = (ended - begun) / max(many, 1)
        for number in range(many):
            yield begun + number * step - rng.random() * DISORDER_SECONDS


def even(count: int, begins_at: float, ends_at: float) -> Iterator[float]:
    """Give the moments of `count` events spread evenly between two."""
    step = (ends_at - begins_at) / max(count, 1)
    return (begins_at + number * step for number in range(count))
