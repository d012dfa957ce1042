"""One usage event in the proxy's wire format.

Source: `internal/redisqueue/plugin.go` of CLIProxyAPI, v6.9.38 to v7.2.140. Unknown fields are
ignored, since about twenty were added in four months; a known field of the wrong type is an error.
Times are RFC 3339 with 0 to 9 fraction digits, durations are milliseconds.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

# A trillion: far above any real count, far below what SQLite's sums can hold.
MAX_COUNT = 1_000_000_000_000
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
SignedCount = Annotated[int, Meta(ge=-MAX_COUNT, le=MAX_COUNT)]
Name = Annotated[str, Meta(max_length=300)]


# No struct can be part of a cycle, so none is tracked by the garbage collector: decoding is faster.
class RawTokens(msgspec.Struct, gc=False):
    """Token counts whose meaning depends on the provider family."""

    input_tokens: SignedCount = 0
    output_tokens: SignedCount = 0
    reasoning_tokens: SignedCount = 0
    cached_tokens: SignedCount = 0
    cache_read_tokens: SignedCount | None = None
    cache_creation_tokens: SignedCount = 0
    total_tokens: SignedCount = 0


class InputParts(msgspec.Struct, gc=False):
    """The prompt's tokens in parts that do not overlap."""

    total_tokens: Count
    uncached_tokens: Count
    cache_read_tokens: Count
    cache_write_tokens: Count


class OutputParts(msgspec.Struct, gc=False):
    """The answer's tokens in parts that do not overlap."""

    total_tokens: Count
    non_reasoning_tokens: Count
    reasoning_tokens: Count


class Breakdown(msgspec.Struct, gc=False):
    """Token counts with one meaning for all providers, since v7.2.97."""

    input: InputParts
    output: OutputParts
    total_tokens: Count
    unclassified_tokens: Count = 0
    schema_version: int = 2


class Fail(msgspec.Struct, gc=False):
    """The upstream's status and body; present on success too."""

    status_code: int = 0
    body: str = ""


class Payload(msgspec.Struct, gc=False):
    """One upstream attempt."""

    timestamp: Name
    tokens: RawTokens
    failed: bool
    latency_ms: Count | None = None
    ttft_ms: Count | None = None
    source: str = ""
    auth_index: Name = ""
    token_breakdown: Breakdown | None = None
    generate: bool | None = True
    fail: Fail | None = None
    # Decoded only for events that may carry quota headers.
    response_headers: msgspec.Raw = msgspec.Raw()
    # Newer proxies put the quota headers here too, as `signals`.
    quota: msgspec.Raw = msgspec.Raw()
    provider: Name = "unknown"
    executor_type: Name = ""
    model: Name = "unknown"
    alias: Name = ""
    endpoint: Name = ""
    auth_type: Name = "unknown"
    api_key: str = ""
    request_id: Name = ""
    reasoning_effort: Name = ""
    service_tier: Name = ""
    response_service_tier: Name = ""
