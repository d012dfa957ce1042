"""The shape of a usage event as v7.2.140 writes it, field by field in its order."""

import time
from datetime import UTC, datetime, tzinfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

Headers = dict[str, list[str]]


class Tokens(Struct):
    """The provider's own numbers, which mean something else for each family."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_read_tokens: int = 0
    cache_read_tokens_present: bool = True
    cache_creation_tokens: int = 0
    total_tokens: int = 0


class Input(Struct):
    """Input that does not overlap."""

    total_tokens: int = 0
    uncached_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Output(Struct):
    """Output that does not overlap."""

    total_tokens: int = 0
    non_reasoning_tokens: int = 0
    reasoning_tokens: int = 0


class Breakdown(Struct):
    """The numbers that add up across providers."""

    schema_version: int = 2
    quality: str = "complete"
    total_tokens: int = 0
    input: Input = msgspec.field(default_factory=Input)
    output: Output = msgspec.field(default_factory=Output)
    unclassified_tokens: int = 0


class Fail(Struct):
    """How an attempt ended; status 200 and no body when it went well."""

    status_code: int = 200
    body: str = ""


class Payload(Struct, kw_only=True):
    """One upstream attempt."""

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
    """Write a payload as the proxy does, which escapes what could be HTML."""
    raw = _json(payload)
    if not payload.failed:
        return raw
    return raw.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def timestamp(moment: float, zone: tzinfo) -> str:
    """Write unix seconds as Go does: nanoseconds without trailing zeros, `Z` or an offset."""
    whole = int(moment)
    text = datetime.fromtimestamp(whole, zone).isoformat()
    fraction = f"{int((moment - whole) * 1e9):09d}".rstrip("0")
    offset = "Z" if zone is UTC else text[19:]
    return f"{text[:19]}.{fraction}{offset}" if fraction else f"{text[:19]}{offset}"


def http_date(moment: float) -> str:
    """Write unix seconds as a `Date` header."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment))
