"""A provider request has what its provider requires, and never holds a token."""

from typing import Any

import pytest

from quota.model import Credential, Reading
from quota.providers import PROVIDERS, antigravity, claude
from quota.providers.codex import ResetCredits, parse_resets, resets_request
from quota.sources.files import with_token
from quota.sources.management import wrap
from tests.support.quota_samples import AT, answer, sample

TEAM = "99999999-8888-4777-8666-555555555555"


def credential(**more: Any) -> Credential:
    """Return a credential with everything a request may need."""
    return Credential(account_key="k", provider="p", display_name="d", file_name="f.json", **more)


def test_a_codex_request_names_its_workspace_only_if_it_has_one() -> None:
    full = PROVIDERS["codex"].request(credential(account_id=TEAM, fedramp=True))
    assert (full.method, full.path, full.body) == ("GET", "/backend-api/wham/usage", None)
    assert full.headers["ChatGPT-Account-Id"] == TEAM
    assert full.headers["X-OpenAI-Fedramp"] == "true"
    bare = PROVIDERS["codex"].request(credential()).headers
    assert not {"ChatGPT-Account-Id", "X-OpenAI-Fedramp", "originator"} & set(bare)


@pytest.mark.parametrize(
    ("provider", "header", "value"),
    [
        pytest.param("claude", "User-Agent", "claude-cli/", id="claude-agent"),
        pytest.param("claude", "anthropic-beta", "oauth-2025-04-20", id="claude-beta"),
        pytest.param("xai", "x-xai-token-auth", "xai-grok-cli", id="grok-client"),
        pytest.param("xai", "x-userid", "user", id="grok-user"),
        pytest.param("antigravity", "User-Agent", "antigravity/", id="antigravity-agent"),
        pytest.param("kimi", "Accept", "application/json", id="kimi"),
    ],
)
def test_a_request_has_what_its_provider_requires(provider: str, header: str, value: str) -> None:
    request = PROVIDERS[provider].request(credential(user_id="user"))
    assert request.headers[header].startswith(value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_names_the_token_without_holding_it(provider: str) -> None:
    spec = PROVIDERS[provider]
    asks = [spec.request, spec.fallback, spec.plan and spec.plan.request, resets_request]
    for ask in filter(None, asks):
        request = ask(credential(account_id=TEAM, project_id="proj-1"))
        assert request.headers["Authorization"] == "Bearer $TOKEN$"
        assert with_token(request.headers, "secret")["Authorization"] == "Bearer secret"
        assert request.path.startswith("/")
        assert "secret" not in repr(request)
        assert not {"accept-encoding", "cookie"} & {name.lower() for name in request.headers}


def test_a_request_wrapped_for_the_proxy_has_an_absolute_url() -> None:
    spec = PROVIDERS["antigravity"]
    request = spec.request(credential(project_id="proj-1"))
    assert wrap(request, base=spec.bases[0], auth_index="ab12") == {
        "auth_index": "ab12",
        "method": "POST",
        "url": "https://daily-cloudcode-pa.googleapis.com/v1internal:retrieveUserQuotaSummary",
        "header": dict(request.headers),
        "data": '{"project": "proj-1"}',
    }


def test_grok_has_the_credits_view_first_and_the_plain_view_next() -> None:
    spec = PROVIDERS["xai"]
    assert spec.fallback is not None
    paths = [ask(credential()).path for ask in (spec.request, spec.fallback)]
    assert paths == ["/v1/billing?format=credits", "/v1/billing"]


@pytest.mark.parametrize(
    ("read", "body", "plan"),
    [
        pytest.param(
            claude.parse_plan,
            {
                "account": {"has_claude_pro": True},
                "organization": {"organization_type": "Claude_Team"},
            },
            "claude_team",
            id="organization",
        ),
        pytest.param(
            claude.parse_plan,
            {"account": {"has_claude_max": True, "has_claude_pro": True}},
            "claude_max",
            id="max-before-pro",
        ),
        pytest.param(claude.parse_plan, {"account": {"has_claude_max": None}}, None, id="unknown"),
        pytest.param(
            antigravity.parse_plan,
            {"currentTier": {"id": "free-tier"}, "paidTier": {"id": "g1-pro-tier"}},
            "g1-pro-tier",
            id="paid-tier",
        ),
        pytest.param(
            antigravity.parse_plan, {"currentTier": {"id": "free-tier"}}, "free-tier", id="tier"
        ),
    ],
)
def test_a_plan_is_read_from_its_own_answer(read: Any, body: Any, plan: str | None) -> None:
    reading = read(answer(body))
    assert (reading.state, reading.plan_raw, reading.complete) == ("ok", plan, False)


def test_banked_resets_have_the_first_expiry() -> None:
    assert parse_resets(sample("codex-rate-limit-reset-credits")) == ResetCredits(
        1, AT + 20 * 86_400_000
    )
    assert isinstance(parse_resets(sample("codex-401-token-expired")), Reading)
