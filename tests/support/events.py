"""Made-up events in the proxy's wire format, each distinct, and their identity in the ledger."""

import hashlib
import json

TEMPLATE = {
    "latency_ms": 5,
    "source": "alice@example.com",
    "auth_index": "e7a4d88d90459c58",
    "tokens": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    "failed": False,
    "provider": "codex",
    "model": "gpt-5.5",
    "api_key": "sk-test-client-alpha",
}


def burst(count: int) -> list[bytes]:
    """Return distinct small events."""
    at = "2026-11-24T00:{:02}:{:02}.{:09}Z"
    return [
        json.dumps({"timestamp": at.format(n // 1000 % 60, n // 20_000, n), **TEMPLATE}).encode()
        for n in range(count)
    ]


def digest(payload: bytes) -> bytes:
    """Return an event's identity."""
    return hashlib.blake2b(payload, digest_size=16).digest()
