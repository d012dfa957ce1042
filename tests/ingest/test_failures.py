"""A failed attempt is stored as its status, its code and one line without secrets."""

import json
from typing import Any

import pytest

from ingest.failures import Failure, is_cancelled
from ingest.parse import Usage, parse
from tests.support.home import recorded

EVENT = json.loads(recorded("recorded-v7.1.10")[0])
LIMIT = {"type": "rate_limit_error", "message": "slow down"}
GEMINI = [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no"}}]
RELAYED = {"error": {"code": "relay", "message": json.dumps({"error": LIMIT})}}
OWN_KEYS = {"error": {"code": "sk-ant-1234", "message": "key hunter2 of hunter3"}}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param({"error": LIMIT}, "rate_limit_error", "slow down", id="openai"),
        pytest.param({"type": "x", "error": LIMIT}, "rate_limit_error", "slow down", id="claude"),
        pytest.param(GEMINI, "RESOURCE_EXHAUSTED", "no", id="gemini"),
        pytest.param(RELAYED, "rate_limit_error", "slow down", id="relayed"),
        pytest.param(OWN_KEYS, None, "key <secret> of <secret>", id="own-keys"),
        pytest.param({"detail": "Not found"}, None, "Not found", id="detail"),
        pytest.param({"error": "gone"}, None, "gone", id="text-in-json"),
        pytest.param({"error": {"code": "x", "message": None}}, "x", None, id="code-alone"),
        pytest.param("<p><Title>Bad &amp;\ngone</title>a@b.cc", None, "Bad & gone", id="html"),
        pytest.param("{not json", None, "{not json", id="broken"),
        pytest.param("[" * 100_000, None, "[" * 200, id="deep"),
        pytest.param("", None, None, id="empty"),
        pytest.param([], None, "[]", id="empty-list"),
    ],
)
def test_a_failure_is_its_code_and_one_line(
    body: Any, code: str | None, message: str | None
) -> None:
    event = EVENT | {"failed": True, "api_key": "hunter2", "source": "hunter3"}
    event["fail"] = {
        "status_code": 429,
        "body": body if isinstance(body, str) else json.dumps(body),
    }
    usage = parse(json.dumps(event).encode())
    assert isinstance(usage, Usage)
    assert usage.failure == Failure(429, code, message)


@pytest.mark.parametrize(
    ("status", "body", "cancelled"),
    [
        pytest.param(499, "", True, id="499"),
        pytest.param(499, "context canceled", True, id="499-with-its-error"),
        pytest.param(200, "context canceled", True, id="v7.1"),
        pytest.param(0, 'Post "https://x": Context canceled', True, id="no-status"),
        pytest.param(500, 'Post "https://x": context canceled', True, id="claude"),
        pytest.param(500, "x" * 5000 + "context canceled", True, id="beyond-what-is-kept"),
        pytest.param(500, "context deadline exceeded", False, id="a-timeout"),
        pytest.param(504, "context canceled", False, id="a-gateway"),
        pytest.param(429, "slow down", False, id="a-limit"),
        pytest.param(200, "", False, id="dispatch"),
    ],
)
def test_what_the_client_cancelled_is_told_apart(status: int, body: str, cancelled: bool) -> None:
    assert is_cancelled(status, body) is cancelled
    event = EVENT | {"failed": True, "fail": {"status_code": status, "body": body}}
    usage = parse(json.dumps(event).encode())
    assert isinstance(usage, Usage)
    assert usage.failure is not None
    assert usage.failure.cancelled is cancelled
