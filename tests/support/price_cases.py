"""Cases of costs as the proxy would send them: one usage event for each line of a file."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data" / "prices"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    """Return the cases of a file of `tests/data/prices`."""
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def payload(case: Case) -> bytes:
    """Return a case as a usage event; its label is the request id."""
    total, cached = case["input_tokens"], case["cache_read_tokens"]
    written, output = case["cache_write_tokens"], case["output_tokens"]
    reasoning = case.get("reasoning_tokens", 0)
    event = {
        "timestamp": case["timestamp"],
        "latency_ms": 1500,
        "ttft_ms": 300,
        "source": "ann@example.com",
        "auth_index": f"auth-{case['provider']}-{case['auth_type']}",
        "tokens": raw_tokens(case),
        "failed": False,
        "generate": True,
        "accounting_version": 2,
        "token_breakdown": {
            "schema_version": 2,
            "quality": "complete",
            "total_tokens": total + output,
            "input": {
                "total_tokens": total,
                "uncached_tokens": total - cached - written,
                "cache_read_tokens": cached,
                "cache_write_tokens": written,
            },
            "output": {
                "total_tokens": output,
                "non_reasoning_tokens": output - reasoning,
                "reasoning_tokens": reasoning,
            },
            "unclassified_tokens": 0,
        },
        "provider": case["provider"],
        "executor_type": case["executor_type"],
        "model": case["model"],
        "alias": case.get("alias", case["model"]),
        "endpoint": case.get("endpoint", "POST /v1/responses"),
        "auth_type": case["auth_type"],
        "api_key": "sk-fake-client-aaaa1111",
        "request_id": case["label"],
        "service_tier": case["service_tier"],
        "response_service_tier": case["response_service_tier"],
    }
    return json.dumps(event).encode()


def raw_tokens(case: Case) -> dict[str, int]:
    """Return the counts in the form of the provider's family: Claude's input is without cache."""
    total, output = case["input_tokens"], case["output_tokens"]
    cached, written = case["cache_read_tokens"], case["cache_write_tokens"]
    is_claude = case["executor_type"] == "ClaudeExecutor"
    return {
        "input_tokens": total - cached - written if is_claude else total,
        "output_tokens": output,
        "reasoning_tokens": case.get("reasoning_tokens", 0),
        "cached_tokens": cached,
        "cache_read_tokens": cached,
        "cache_creation_tokens": written,
        "total_tokens": total + output,
    }
