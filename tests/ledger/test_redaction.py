"""Secrets are removed from text, and enough of it stays to be understood."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.redaction import redact, redact_strictly

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("to bob.x+1@mail.example.co.uk!", "to <email>!", id="email"),
        pytest.param("key sk-proj-ab12", "key <secret>", id="openai"),
        pytest.param("key sk-ant-api03-Ab_c", "key <secret>", id="anthropic"),
        pytest.param("key AIzaSyA1234567", "key <secret>", id="google"),
        pytest.param("key ya29.a0AfH6SMBx", "key <secret>", id="google-token"),
        pytest.param("key ghp_abc123", "key <secret>", id="github"),
        pytest.param("key AKIAIOSFODNN7", "key <secret>", id="amazon"),
        pytest.param("key xai-9fK2mQ7pL4sT8vW1", "key <secret>", id="xai"),
        pytest.param("无效的令牌sk-abc123", "无效的令牌<secret>", id="after-chinese"),
        pytest.param("provided: sk-p*****wxyz.", "provided: <secret>", id="half-masked"),
        pytest.param("API key provided: hunter2", "API key provided: <secret>", id="api-key"),
        pytest.param("api_key=hunter2&x=1", "api_key=<secret>", id="parameter"),
        pytest.param('{"password": "hunter2"}', '{"password": "<secret>"}', id="in-json"),
        pytest.param("X-Api-Key: hunter2, x", "X-Api-Key: <secret>, x", id="header"),
        pytest.param("Authorization: Bearer a", "Authorization: Bearer <secret>", id="bearer"),
        pytest.param("authorization=hunter2", "authorization=<secret>", id="authorization"),
        pytest.param("a Basic aHVudGVy", "a Basic <secret>", id="basic"),
        pytest.param(f"token {JWT}, x", "token <secret>, x", id="jwt"),
        pytest.param("Set-Cookie: a=b; c=d", "<cookie>", id="cookie"),
        pytest.param('x {"Set-Cookie":["a=b"]}', 'x {"<cookie>', id="cookie-in-json"),
        pytest.param("see https://u:p@h.example/x?k=v", "see <url>", id="url"),
        pytest.param("see HTTPS://h.example.", "see <url>", id="url-in-capitals"),
        pytest.param("dial 10.0.0.7:443", "dial <address>", id="address"),
        pytest.param("dial [2001:db8::1]:443", "dial <address>", id="address-in-brackets"),
        pytest.param("from 2001:db8::ff00:42 now", "from <address> now", id="long-address"),
        pytest.param("from ::1", "from <address>", id="short-address"),
        pytest.param("id 123e4567-e89b-12d3-a456-426614174000", "id <secret>", id="uuid"),
        pytest.param("org-AbCd1234EfGh5678IjKl", "<secret>", id="organization"),
        pytest.param("x " + "0123456789abcdef" * 2, "x <secret>", id="hex"),
        pytest.param("two\nlines\tand  spaces\x00\x1b", "two lines and spaces", id="one-line"),
        *(
            pytest.param(text, text, id=text)
            for text in [
                "claude-opus-4-5-20251101 is overloaded",
                "accounts/fireworks/models/llama-v3p1-405b-instruct",
                "POST /openai/v1/chat/completions",
                "GeminiInteractionsExecutor skipped it",
                "max_tokens: 4096 is too many",
                "retry at 12:34:56 or 2026-08-22T11:15:21",
                "RESOURCE_EXHAUSTED: type.googleapis.com/google.rpc.RetryInfo",
                "std::vector, unexpected token",
            ]
        ),
    ],
)
def test_secrets_go_and_words_stay(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("password=hunter2", "password=…", id="password"),
        pytest.param('{"password": "hunter2"}', '{"password": "…"}', id="in-json"),
        pytest.param("api key provided: hunter2", "api key provided: …", id="api-key"),
        pytest.param("key gsk_abcd", "key …", id="groq"),
        pytest.param("key ghp_abcd", "key …", id="github"),
        pytest.param("key AKIAIOSF", "key …", id="amazon"),
        pytest.param("key AIzaSyAbc", "key …", id="google"),
        pytest.param("dial [2001:db8::1]:443", "dial …", id="address-in-brackets"),
        pytest.param("from ::1", "from …", id="short-address"),
        pytest.param("dial 10.0.0.7:443", "dial …", id="address"),
        pytest.param("x-goog-api-key: abc", "…: …", id="named-key"),
        pytest.param("bad Bearer abc'def", "bad …", id="bearer"),
        pytest.param("Cookie: a=b; c=d", "…", id="cookie"),
        pytest.param("to root@localhost", "to …", id="address-without-domain"),
        pytest.param("org-abc1 and req_011C", "… and …", id="ids"),
        pytest.param("projects/helpful-shore-12345", "…", id="long-with-a-digit"),
        pytest.param("see https://x.example/'k'=1 now", "see … now", id="url"),
        pytest.param("Unauthorized: log in again.", "Unauthorized: log in again.", id="words"),
        pytest.param("two\nlines\x00and  spaces", "two lines and spaces", id="one-line"),
    ],
)
def test_strict_redaction_removes_ids_too(text: str, expected: str) -> None:
    assert redact_strictly(text) == expected
    assert redact_strictly(expected) == expected


WORDS = st.sampled_from(["error", "in", "model", "gpt-5.5,", "(at)", "无效的令牌", "\n", "'", '"'])
SECRETS = st.sampled_from(
    [
        "password=hunter2",
        "gsk_hunter2",
        "ghp_hunter2",
        "AKIAhunter2",
        "[fe80::abcd]:443",
        "Bearer hunter2",
        "hunter2@example.com",
        "https://example.com/?hunter2",
        "Cookie: hunter2",
        "sk-hunter2",
        JWT,
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=4), SECRETS, st.lists(WORDS, max_size=4))
def test_no_secret_passes_either_redaction(
    before: list[str], secret: str, after: list[str]
) -> None:
    text = " ".join([*before, secret, *after])
    for redacted in (redact(text), redact_strictly(text)):
        assert "hunter2" not in redacted
        assert "fe80" not in redacted
        assert JWT not in redacted
