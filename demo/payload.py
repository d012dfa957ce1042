"""Usage events as v7.2.140 writes them, field by field in its order, and each family's tokens."""

import time
from datetime import UTC, datetime, tzinfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

Headers = dict[str, list[str]]
CACHE_BLOCK = 128


class Tokens(Struct):
    """The provider's own token fields; each provider family defines them differently."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_read_tokens: int = 0
    cache_read_tokens_present: bool = True
    cache_creation_tokens: int = 0
    total_tokens: int = 0


class Input(Struct):
    """Input tokens in parts that do not overlap."""

    total_tokens: int = 0
    uncached_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Output(Struct):
    """Output tokens in parts that do not overlap."""

    total_tokens: int = 0
    non_reasoning_tokens: int = 0
    reasoning_tokens: int = 0


class Breakdown(Struct):
    """Token counts that mean the same for every provider and add up."""

    schema_version: int = 2
    quality: str = "complete"
    total_tokens: int = 0
    input: Input = msgspec.field(default_factory=Input)
    output: Output = msgspec.field(default_factory=Output)
    unclassified_tokens: int = 0


class Fail(Struct):
    """The error of an attempt; a success has status 200 and no body."""

    status_code: int = 200
    body: str = ""


class Payload(Struct, kw_only=True):
    """The event of one upstream attempt."""

    timestamp: str
    latency_ms: int
    ttft_ms: int
    source: str
    auth_index: str
    access_token_sha256: str | UnsetType = UNSET
    client_ip: str
    x_forwarded_for: str
    user_agent: str
    tokens: Tokens
    failed: bool
    generate: bool = True
    fail: Fail
    response_headers: Headers | UnsetType = UNSET
    accounting_version: int = 2
    token_breakdown: Breakdown
    provider: str
    executor_type: str
    model: str
    alias: str
    endpoint: str
    auth_type: str
    api_key: str
    request_id: str
    reasoning_effort: str
    service_tier: str
    response_service_tier: str | UnsetType = UNSET


_json = msgspec.json.Encoder().encode
NO_FAIL = Fail()


def encode(payload: Payload) -> bytes:
    """Return a payload as the proxy writes it."""
    raw = _json(payload)
    # Go's encoder escapes what could be HTML; only errors have such characters here.
    if not payload.failed:
        return raw
    return raw.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def timestamp(moment: float, zone: tzinfo) -> str:
    """Return unix seconds as Go writes them: nanoseconds without trailing zeros, `Z` or offset."""
    whole = int(moment)
    text = datetime.fromtimestamp(whole, zone).isoformat()
    fraction = f"{int((moment - whole) * 1e9):09d}".rstrip("0")
    offset = "Z" if zone is UTC else text[19:]
    return f"{text[:19]}.{fraction}{offset}" if fraction else f"{text[:19]}{offset}"


def http_date(moment: float) -> str:
    """Return unix seconds as the value of a `Date` header."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment))


def openai_tokens(
    context: int, *, read: int, output: int, reasoning: int
) -> tuple[Tokens, Breakdown]:
    """Return tokens as OpenAI counts them: cache reads are input, reasoning is output."""
    read -= read % CACHE_BLOCK
    total = context + output
    tokens = Tokens(context, output, reasoning, read, read, total_tokens=total)
    return tokens, _breakdown(Input(context, context - read, read), output, reasoning)


def claude_tokens(
    context: int, *, read: int, output: int, reasoning: int
) -> tuple[Tokens, Breakdown]:
    """Return tokens as Claude counts them: cache reads and writes are not in the input."""
    write = (context - read) * 3 // 4
    uncached = context - read - write
    total = context + output
    tokens = Tokens(uncached, output, reasoning, read or write, read, True, write, total)
    return tokens, _breakdown(Input(context, uncached, read, write), output, reasoning)


def gemini_tokens(
    context: int, *, read: int, output: int, reasoning: int
) -> tuple[Tokens, Breakdown]:
    """Return tokens as Gemini counts them: reasoning is not in the output."""
    total = context + output + reasoning
    tokens = Tokens(context, output, reasoning, read, read, total_tokens=total)
    return tokens, _breakdown(Input(context, context - read, read), output + reasoning, reasoning)


def total_only_tokens(total: int) -> tuple[Tokens, Breakdown]:
    """Return the tokens of an upstream that reports only a total."""
    breakdown = Breakdown(quality="unclassified", total_tokens=total, unclassified_tokens=total)
    return Tokens(total_tokens=total), breakdown


def _breakdown(read_in: Input, output: int, reasoning: int) -> Breakdown:
    total = read_in.total_tokens + output
    written = Output(output, output - reasoning, reasoning)
    return Breakdown(total_tokens=total, input=read_in, output=written)
