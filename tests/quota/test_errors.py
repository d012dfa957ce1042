"""A failed answer has the state of its cause, and an error line without personal data."""

from typing import Any

import pytest

from quota.model import Answer
from tests.support.quota_samples import answer, parse

TEAM = "99999999-8888-4777-8666-555555555555"


@pytest.mark.parametrize(
    ("failure", "state", "code"),
    [
        pytest.param(answer("", 500), "unavailable", None, id="5xx"),
        pytest.param(
            answer({"error": {"code": "server_is_overloaded"}}, 503),
            "unavailable",
            "server_is_overloaded",
            id="overloaded",
        ),
        pytest.param(answer("<html>gone</html>", 404), "unavailable", None, id="404"),
        pytest.param(answer("<html>", 429), "rate_limited", None, id="429-page"),
        pytest.param(answer("<title>Hi</title>"), "bad_response", None, id="200-page"),
        pytest.param(answer("{"), "bad_response", None, id="200-cut-off"),
        pytest.param(answer("{}"), "bad_response", None, id="200-empty"),
        pytest.param(answer("[" * 100_000), "bad_response", None, id="200-deep"),
        pytest.param(answer("", 302), "bad_response", None, id="redirect"),
        pytest.param(answer("<p>unable to load site", 403), "blocked_network", None, id="403-page"),
        pytest.param(
            answer({}, 403, **{"cf-mitigated": "challenge"}),
            "blocked_network",
            None,
            id="challenge",
        ),
        pytest.param(
            answer({"error": "cloudflare_challenge"}, 403),
            "blocked_network",
            "cloudflare_challenge",
            id="challenge-word",
        ),
        pytest.param(
            answer({"error": {"code": "token_invalidated", "type": "invalid_request_error"}}, 401),
            "needs_login",
            "token_invalidated",
            id="invalidated",
        ),
        pytest.param(
            answer({"detail": {"message": {"text": "Your account has been deactivated"}}}, 401),
            "deactivated",
            None,
            id="deactivated-nested",
        ),
        pytest.param(
            answer({"detail": "deactivated_workspace"}, 402),
            "deactivated",
            "deactivated_workspace",
            id="detail-word",
        ),
        pytest.param(
            answer({"message": "This workspace has been deactivated."}, 403),
            "deactivated",
            None,
            id="workspace-text",
        ),
        pytest.param(
            answer({"error": {"message": "Missing scopes: api.read"}}, 401),
            "unsupported_credential",
            None,
            id="scopes",
        ),
        pytest.param(
            answer(
                {"error": {"type": "authentication_error", "message": "OAuth token has expired."}},
                401,
            ),
            "token_expired",
            "authentication_error",
            id="claude-expired",
        ),
        pytest.param(
            answer("", 401, **{"x-openai-authorization-error": "token_revoked"}),
            "needs_login",
            "token_revoked",
            id="code-in-a-header",
        ),
        pytest.param(
            answer("", 401, **{"x-error-json": "eyJlcnJvciI6eyJjb2RlIjoidG9rZW5fZXhwaXJlZCJ9fQ=="}),
            "token_expired",
            "token_expired",
            id="code-in-base64",
        ),
        pytest.param(answer({"error": "no"}, 401), "auth_error", "no", id="other-401"),
        pytest.param(
            answer({"error": {"status": "PERMISSION_DENIED"}}, 403),
            "auth_error",
            "permission_denied",
            id="403",
        ),
    ],
)
def test_a_failure_has_the_state_of_its_cause(
    failure: Answer, state: str, code: str | None
) -> None:
    reading = parse("codex", failure)
    assert (reading.state, reading.error_code) == (state, code)
    assert (reading.windows, reading.complete) == ((), False)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param("<html><title>Just\n a moment...</title>x", "Just a moment...", id="title"),
        pytest.param({"message": "Hello ann@example.com"}, "Hello …", id="address"),
        pytest.param({"message": f"no workspace {TEAM} here"}, "no workspace … here", id="uuid"),
        pytest.param({"message": "bad Bearer abc.def"}, "bad …", id="bearer"),
        pytest.param({"message": "token eyJhbGciOi.eyJzdWIi.c2ln!"}, "token …!", id="jwt"),
        pytest.param({"message": "user-SYNTH000 at 10.1.2.3"}, "… at …", id="ids"),
        pytest.param({"message": "see https://x.example/?k=1 now"}, "see … now", id="url"),
        pytest.param({"message": "words " * 99}, ("words " * 99)[:199] + "…", id="long"),
    ],
)
def test_an_error_line_is_short_and_has_no_personal_data(content: Any, line: str) -> None:
    body = content if isinstance(content, str) else {"error": content}
    assert parse("codex", answer(body, 401)).error_text == line
