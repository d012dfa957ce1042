"""One usage event as the proxy sends it.

Wire format: `internal/redisqueue/plugin.go` of CLIProxyAPI, v6.9.38 to v7.2.140. Unknown fields
are ignored, since about twenty were added in four months; a known one of the wrong type is an
error. Times are RFC 3339 with 0 to 9 fraction digits, durations milliseconds.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

# A trillion: far above any real count, far below what SQLite's sums can hold.
LARGEST = 1_000_000_000_000
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
AnyCount = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
Name = Annotated[str, Meta(max_length=300)]


class Tokens(msgspec.Struct):
    """Raw counts, whose meaning differs by provider family."""

    input_tokens: AnyCount = 0
    output_tokens: AnyCount = 0
    reasoning_tokens: AnyCount = 0
    cached_tokens: AnyCount = 0
    cache_read_tokens: AnyCount | None = None
    cache_creation_tokens: AnyCount = 0
    total_tokens: AnyCount = 0


class InputParts(msgspec.Struct):
    """The prompt's tokens, in parts that do not overlap."""

    total_tokens: Count
    uncached_tokens: Count
    cache_read_tokens: Count
    cache_write_tokens: Count


class OutputParts(msgspec.Struct):
    """The answer's tokens, in parts that do not overlap."""

    total_tokens: Count
    non_reasoning_tokens: Count
    reasoning_tokens: Count


class Breakdown(msgspec.Struct):
    """The counts that add up across providers, since v7.2.97."""

    input: InputParts
    output: OutputParts
    total_tokens: Count
    unclassified_tokens: Count = 0
    schema_version: int = 2


class Fail(msgspec.Struct):
    """What the upstream said; present on success too."""

    status_code: int = 0
    body: str = ""


class Payload(msgspec.Struct):
    """One upstream attempt."""

    timestamp: Name
    tokens: Tokens
    failed: bool
    latency_ms: Count | None = None
    ttft_ms: Count | None = None
    source: str = ""
    auth_index: Name = ""
    token_breakdown: Breakdown | None = None
    generate: bool | None = True
    fail: Fail | None = None
    # Read only where a quota may be in it.
    response_headers: msgspec.Raw = msgspec.Raw()
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
