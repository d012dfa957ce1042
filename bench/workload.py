"""The reference workload: accounts, clients and models, times, and the payloads of events."""

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Kind = Literal["thin", "fat", "mixed"]

DAY = 86_400
DAYS, RECENT_DAYS, RECENT_SHARE = 90, 30, 0.375
FAILURE_SHARE = 0.01
# An event is published when it ends, so neighbouring events may arrive in the wrong order.
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
    # Models without a known price.
    *("lumen-large-2", "lumen-small-2", "house-blend-7b", "house-coder-32b"),
]
# A thin event of about 450 bytes, as the proxy wrote it before v7.1: without headers and without
# the token breakdown.
THIN = (
    b'{"timestamp":"%(at)s","latency_ms":%(latency)d,"source":"%(source)s",'
    b'"auth_index":"%(auth_index)s","tokens":{"input_tokens":%(reported)d,'
    b'"output_tokens":%(output)d,"reasoning_tokens":%(reasoning)d,"cached_tokens":%(cached)d,'
    b'"total_tokens":%(total)d},"failed":%(failed)s,%(fail)s"provider":"%(provider)s",'
    b'"model":"%(model)s","alias":"%(model)s","endpoint":"POST /v1/responses","auth_type":"oauth",'
    b'"api_key":"%(key)s","request_id":"%(request)08x"}'
)
# A fat event of about 1.9 KB, as v7.2.140 writes it.
FAT = (
    b'{"timestamp":"%(at)s","latency_ms":%(latency)d,"ttft_ms":%(ttft)d,"source":"%(source)s",'
    b'"auth_index":"%(auth_index)s","access_token_sha256":"%(digest)s",'
    b'"client_ip":"127.0.0.1","x_forwarded_for":"","user_agent":"%(agent)s",'
    b'"tokens":{"input_tokens":%(reported)d,"output_tokens":%(output)d,'
    b'"reasoning_tokens":%(reasoning)d,"cached_tokens":%(cached)d,"cache_read_tokens":%(cached)d,'
    b'"cache_read_tokens_present":true,"cache_creation_tokens":0,"total_tokens":%(total)d},'
    b'"failed":%(failed)s,"generate":true,%(fail)s"response_headers":{%(headers)s},'
    b'"accounting_version":2,"token_breakdown":{"schema_version":2,"quality":"complete",'
    b'"total_tokens":%(total)d,"input":{"total_tokens":%(input)d,"uncached_tokens":%(uncached)d,'
    b'"cache_read_tokens":%(cached)d,"cache_write_tokens":0},"output":{"total_tokens":%(output)d,'
    b'"non_reasoning_tokens":%(visible)d,"reasoning_tokens":%(reasoning)d},'
    b'"unclassified_tokens":0},"provider":"%(provider)s","executor_type":"%(executor)s",'
    b'"model":"%(model)s","alias":"%(model)s","endpoint":"POST /v1/responses",'
    b'"auth_type":"oauth","api_key":"%(key)s","request_id":"%(request)08x",'
    b'"reasoning_effort":"%(effort)s","service_tier":"auto","response_service_tier":"default"}'
)
CODEX_HEADERS = (
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Server":["cloudflare"],"X-Codex-Active-Limit":["premium"],'
    b'"X-Codex-Credits-Balance":[""],"X-Codex-Credits-Has-Credits":["False"],'
    b'"X-Codex-Credits-Unlimited":["False"],"X-Codex-Plan-Type":["plus"],'
    b'"X-Codex-Primary-Over-Secondary-Limit-Percent":["0"],'
    b'"X-Codex-Primary-Reset-After-Seconds":["%(five_hours_left)d"],'
    b'"X-Codex-Primary-Reset-At":["%(five_hours_end)d"],'
    b'"X-Codex-Primary-Used-Percent":["%(used)d"],"X-Codex-Primary-Window-Minutes":["300"],'
    b'"X-Codex-Secondary-Reset-After-Seconds":["%(week_left)d"],'
    b'"X-Codex-Secondary-Reset-At":["%(week_end)d"],'
    b'"X-Codex-Secondary-Used-Percent":["%(used)d"],"X-Codex-Secondary-Window-Minutes":["10080"],'
    b'"X-Oai-Request-Id":["req_%(request)016x"]'
)
CLAUDE_HEADERS = (
    b'"Anthropic-Ratelimit-Unified-5h-Reset":["%(five_hours_end)d"],'
    b'"Anthropic-Ratelimit-Unified-5h-Status":["allowed"],'
    b'"Anthropic-Ratelimit-Unified-5h-Utilization":["0.%(used)02d"],'
    b'"Anthropic-Ratelimit-Unified-7d-Reset":["%(week_end)d"],'
    b'"Anthropic-Ratelimit-Unified-7d-Status":["allowed"],'
    b'"Anthropic-Ratelimit-Unified-7d-Utilization":["0.%(used)02d"],'
    b'"Anthropic-Ratelimit-Unified-Fallback-Percentage":["0.5"],'
    b'"Anthropic-Ratelimit-Unified-Overage-Status":["rejected"],'
    b'"Anthropic-Ratelimit-Unified-Representative-Claim":["five_hour"],'
    b'"Anthropic-Ratelimit-Unified-Reset":["%(five_hours_end)d"],'
    b'"Anthropic-Ratelimit-Unified-Status":["allowed"],'
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Request-Id":["req_%(request)016x"],"Server":["cloudflare"]'
)
OTHER_HEADERS = (
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Server":["cloudflare"],"Strict-Transport-Security":["max-age=31536000"],'
    b'"X-Content-Type-Options":["nosniff"],"X-Ratelimit-Limit-Requests":["500"],'
    b'"X-Ratelimit-Limit-Tokens":["4000000"],"X-Ratelimit-Remaining-Requests":["%(used)d"],'
    b'"X-Ratelimit-Remaining-Tokens":["%(week_left)d"],"X-Request-Id":["req_%(request)016x"],'
    b'"X-Zero-Data-Retention":["false"],"Vary":["accept-encoding"]'
)
FAILS = (
    b'"fail":{"status_code":429,"body":"{\\"error\\":{\\"type\\":\\"usage_limit_reached\\",'
    b'\\"message\\":\\"The usage limit has been reached\\"}}"},',
    b'"fail":{"status_code":500,"body":"{\\"error\\":{\\"type\\":\\"server_error\\",'
    b'\\"message\\":\\"The server had an error\\"}}"},',
    b'"fail":{"status_code":529,"body":"{\\"error\\":{\\"type\\":\\"overloaded_error\\",'
    b'\\"message\\":\\"Overloaded\\"}}"},',
)
NO_FAIL = b'"fail":{"status_code":200,"body":""},'
PROVIDERS = ("codex", "codex", "claude", "codex", "kimi", "claude", "codex", "xai")
EXECUTORS = {"codex": "CodexExecutor", "claude": "ClaudeExecutor", "xai": "XAIExecutor"}
HEADERS = {"codex": CODEX_HEADERS, "claude": CLAUDE_HEADERS}
EFFORTS = (b"low", b"medium", b"high", b"xhigh")
AGENTS = (b"codex_cli_rs/0.153.4 (Mac OS 15.5.0; arm64)", b"python-httpx/0.28.1", b"curl/8.14.1")
USAGES = 20_000
Fields = dict[bytes, bytes | int]


class Usage(NamedTuple):
    """The tokens and times (ms) of an attempt."""

    context: int
    cached: int
    output: int
    reasoning: int
    latency: int
    ttft: int


class Account(NamedTuple):
    """The fields that all events of an account share, and the template of its headers."""

    fields: Fields
    provider: str
    headers: bytes


class Attempt(NamedTuple):
    """One attempt; `at` is unix seconds."""

    at: float
    account: Account
    model: bytes
    client: bytes
    usage: Usage


class Workload:
    """Generates events; equal seeds give equal events."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._accounts = [account(number) for number in range(len(ACCOUNTS))]
        self._models = [name.encode() for name in MODELS]
        self._clients = [name.encode() for name in CLIENTS]
        self._usages = [self._usage() for _ in range(USAGES)]

    def payloads(self, moments: Sequence[float], kind: Kind = "mixed") -> list[bytes]:
        """Return one payload for each moment (unix seconds)."""
        draw, count = self._rng.choices, len(moments)
        attempts = map(
            Attempt,
            moments,
            draw(self._accounts, k=count),
            draw(self._models, k=count),
            draw(self._clients, CLIENT_WEIGHTS, k=count),
            draw(self._usages, k=count),
        )
        return [self._payload(attempt, kind) for attempt in attempts]

    def _payload(self, attempt: Attempt, kind: Kind) -> bytes:
        at, account, model, client, usage = attempt
        rng = self._rng
        is_fat = kind == "fat" or (kind == "mixed" and rng.random() < 0.5)
        bits = rng.getrandbits(32)
        failed = rng.random() < FAILURE_SHARE
        fields: Fields = {**account.fields, b"at": timestamp(at), b"model": model, b"key": client}
        fields |= {b"request": bits, b"failed": b"true" if failed else b"false"}
        fields |= numbers(usage, account.provider, failed=failed, jitter=1 + bits % 200 / 1000)
        fields[b"fail"] = NO_FAIL if is_fat else b""
        if failed:
            fields[b"fail"] = FAILS[bits % len(FAILS)]
        if not is_fat:
            return THIN % fields
        fields |= {b"effort": EFFORTS[bits % 4], b"agent": AGENTS[bits % 3]}
        fields[b"headers"] = account.headers % {b"request": bits, **windows(int(at))}
        return FAT % fields

    def _usage(self) -> Usage:
        rng = self._rng
        context = 200 + int(rng.expovariate(1 / 25_000))
        output = 20 + int(rng.expovariate(1 / 900))
        ttft = int(300 + 900 * rng.lognormvariate(0, 0.6))
        latency = ttft + int(output * rng.uniform(6, 25))
        cached, reasoning = int(context * 0.95 * rng.random()), int(output * 0.7 * rng.random())
        return Usage(context, cached, output, reasoning, latency, ttft)


def account(number: int) -> Account:
    """Return the n-th account."""
    provider = PROVIDERS[number % len(PROVIDERS)]
    fields: Fields = {
        b"source": ACCOUNTS[number].encode(),
        b"auth_index": hashlib.sha256(ACCOUNTS[number].encode()).hexdigest()[:16].encode(),
        b"digest": hashlib.sha256(b"token %d" % number).hexdigest().encode(),
        b"provider": provider.encode(),
        b"executor": EXECUTORS.get(provider, "OpenAICompatExecutor").encode(),
    }
    return Account(fields, provider, HEADERS.get(provider, OTHER_HEADERS))


def numbers(usage: Usage, provider: str, *, failed: bool, jitter: float) -> Fields:
    """Return the numeric fields of an attempt; a failed one has no tokens."""
    context, cached, output, reasoning, latency, ttft = usage
    if failed:
        context = cached = output = reasoning = 0
    # Claude counts as input only the tokens that were not read from the cache.
    reported = context - cached if provider == "claude" else context
    return {
        b"latency": int(latency * jitter),
        b"ttft": int(ttft * jitter),
        b"reported": reported,
        b"input": context,
        b"uncached": context - cached,
        b"cached": cached,
        b"output": output,
        b"visible": output - reasoning,
        b"reasoning": reasoning,
        b"total": context + output,
    }


def windows(at: int) -> Fields:
    """Return the values of the quota headers at an instant: two windows that fill and reset."""
    five_hours_end, week_end = (at // length * length + length for length in (FIVE_HOURS, WEEK))
    return {
        b"five_hours_end": five_hours_end,
        b"five_hours_left": five_hours_end - at,
        b"week_end": week_end,
        b"week_left": week_end - at,
        b"used": at % FIVE_HOURS * 99 // FIVE_HOURS,
    }


def timestamp(at: float) -> bytes:
    """Return unix seconds as the proxy writes them."""
    whole = int(at)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return b"%s.%09dZ" % (text.encode(), int((at - whole) * 1e9))


def history(count: int, ends_at: float, seed: int = 0) -> Iterator[float]:
    """Yield the moments of `count` events over 90 days, 37.5 % of them in the last 30."""
    rng = random.Random(seed)
    recent = int(count * RECENT_SHARE)
    bounds = [ends_at - DAYS * DAY, ends_at - RECENT_DAYS * DAY, ends_at]
    for (start, end), size in zip(pairwise(bounds), (count - recent, recent), strict=True):
        step = (end - start) / max(size, 1)
        for number in range(size):
            yield start + number * step - rng.random() * DISORDER_SECONDS


def even(count: int, begins_at: float, ends_at: float) -> Iterator[float]:
    """Return the moments of `count` events, evenly spread between two instants."""
    step = (ends_at - begins_at) / max(count, 1)
    return (begins_at + number * step for number in range(count))
