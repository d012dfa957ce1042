"""Every recorded answer is parsed into whole rows, and nothing that it does not contain."""

from dataclasses import replace
from typing import Any

import pytest

from quota.model import Answer, Reading, Refusal, Window
from quota.providers import PROVIDERS
from quota.sources.management import unwrap
from quota.verdict import Verdict, account_verdict, group_verdicts
from tests.support.quota_samples import AT, DATA, account_of, answer, sample

H5, D7, D30 = 18_000, 604_800, 2_592_000


def parse(name: str, response: Answer | None = None) -> Reading:
    """Parse a sample by its provider's parser, or another answer by that parser."""
    return PROVIDERS[name.split("-")[0]].parse(response or sample(name), None)


def row(label: str, key: str, used: float | None, resets: int | None, **more: Any) -> Window:
    """Return an ordinary gating window of the account; `resets` in seconds after the answer."""
    fields = {"scope": "account", "started": True, "gating": True, "observed_at": AT, **more}
    if key in ("5h", "7d", "30d"):
        fields.setdefault("window_seconds", {"5h": H5, "7d": D7, "30d": D30}[key])
    at = None if resets is None else AT + resets
    return Window(label=label, window_key=key, used_percent=used, resets_at=at, **fields)


OK, BLOCKED = {"allowed": True, "limit_reached": False}, {"allowed": False, "limit_reached": True}
SPARK = {"scope": "feature", "scope_key": "codex_bengalfox", "gating": False}
GEMINI, THIRD = {"scope": "group", "scope_key": "gemini"}, {"scope": "group", "scope_key": "3p"}
MODEL = {"scope": "model", "gating": False}
ROWS = {
    "codex-plus-5h-weekly": [
        row("5-hour", "5h", 37, 9_120_000, **OK),
        row("weekly", "7d", 62, 221_400_000, **OK),
    ],
    "codex-pro-weekly-only-spark": [
        row("weekly", "7d", 21, 512_345_000, **OK),
        row("GPT-5.3-Codex-Spark 5-hour", "5h", 100, 4_200_000, **BLOCKED, **SPARK),
        row("GPT-5.3-Codex-Spark weekly", "7d", 48, 512_345_000, **BLOCKED, **SPARK),
        row(
            "gpt-reserve weekly",
            "7d",
            0,
            604_800_000,
            **OK,
            **{**SPARK, "scope_key": "base_model_inference", "started": False},
        ),
    ],
    "codex-free-monthly": [row("monthly (30 d)", "30d", 5, 1_987_654_000, **OK)],
    "codex-plus-blocked-weekly": [
        row("5-hour", "5h", 1, 17_100_000, **BLOCKED),
        row("weekly", "7d", 100, 93_600_000, **BLOCKED),
    ],
    "codex-business-usage-based": [
        row(
            "individual monthly spend",
            "month",
            30,
            865_200_000,
            scope="spend",
            scope_key="individual",
            used_value="3028.9912345",
            limit_value="10000",
            unit="credits",
            limit_reached=False,
        )
    ],
    "codex-team-credits-depleted": [],
    "codex-weird-types": [
        row("5-hour", "5h", 103.4, -600_000),
        row("weekly", "7d", None, None, started=None),
        row(
            "codex_x 1 h",
            "w3600",
            None,
            None,
            window_seconds=3600,
            **OK,
            **{**SPARK, "scope_key": "codex_x", "started": None},
        ),
    ],
    "codex-stream-rate-limits-event": [
        row("5-hour", "5h", 38, 9_000_000, **OK),
        row("weekly", "7d", 62, 221_280_000, **OK),
    ],
    "claude-max-usage": [
        row("5-hour", "5h", 42, 7_200_123),
        row("weekly", "7d", 71, 260_000_654),
        row("Sonnet weekly", "7d", 3, 260_000_654, scope_key="sonnet", **MODEL),
        row("Opus weekly", "7d", 100, 260_000_000, scope_key="opus", **MODEL),
        row(
            "extra usage",
            "month",
            24.68,
            None,
            scope="spend",
            scope_key="extra_usage",
            used_value="12.34",
            limit_value="50",
            unit="USD",
            gating=False,
        ),
    ],
    "antigravity-summary": [
        row("Gemini Models 5-hour", "5h", 28, 11_000_000, **GEMINI),
        row("Gemini Models weekly", "7d", 51.85, 430_000_000, **GEMINI),
        row("Claude and GPT models 5-hour", "5h", 0, 18_000_000, **THIRD, started=False),
        row("Claude and GPT models weekly", "7d", None, 86_400_000, **THIRD, started=None),
    ],
    "kimi-ratio-pools": [
        row("5-hour", "5h", 31, 6_000_000),
        row("weekly", "7d", 88.9023, 270_000_000),
        row("monthly", "month", 3.38, 2_000_000_000),
        row("code monthly", "month", 0, 2_000_000_000, scope_key="code", started=None),
    ],
    "xai-weekly": [
        row("weekly", "7d", 17.5, 304_800_000),
        row(
            "GrokBuild weekly",
            "7d",
            17.5,
            304_800_000,
            scope="feature",
            scope_key="grokbuild",
            gating=False,
        ),
    ],
    "xai-monthly": [
        row(
            "monthly",
            "month",
            0.835,
            1_392_000_000,
            used_value="1.67",
            limit_value="200",
            unit="USD",
        )
    ],
}
CREDITS_NONE = {
    "credits_has": False,
    "credits_unlimited": False,
    "credits_overage_reached": False,
    "credits_balance": "0",
}
FACTS: dict[str, dict[str, Any]] = {
    "codex-plus-5h-weekly": {**CREDITS_NONE, "plan_raw": "plus", "reset_credits": 1, **OK},
    "codex-pro-weekly-only-spark": {
        **CREDITS_NONE,
        "plan_raw": "pro",
        "reset_credits": 2,
        "credits_has": True,
        "credits_balance": "394.796725",
        **OK,
    },
    "codex-free-monthly": {**CREDITS_NONE, "plan_raw": "free", **OK},
    "codex-plus-blocked-weekly": {
        **CREDITS_NONE,
        "plan_raw": "plus",
        "reset_credits": 3,
        "reached_type": "rate_limit_reached",
        "refusals": (
            Refusal(
                reason="rate_limit_reached",
                windows=("7d",),
                refused_at=AT,
                ends_at=AT + 93_600_000,
            ),
        ),
        **BLOCKED,
    },
    "codex-business-usage-based": {
        **CREDITS_NONE,
        "plan_raw": "self_serve_business_usage_based",
        "credits_has": True,
        "credits_balance": None,
    },
    "codex-team-credits-depleted": {
        **CREDITS_NONE,
        "plan_raw": "business",
        "credits_overage_reached": True,
        "reached_type": "workspace_member_credits_depleted",
    },
    "codex-weird-types": {
        "reached_type": "weekly",
        "credits_has": True,
        "credits_unlimited": False,
        "credits_balance": "4.52",
    },
    "xai-weekly": {"credits_has": False, "credits_balance": "0"},
    "codex-stream-rate-limits-event": {
        **CREDITS_NONE,
        "plan_raw": "plus",
        "credits_overage_reached": None,
        **OK,
    },
}
YES, SPENT = (True, "allowed"), (False, "rate_limit_reached")
VERDICTS = {
    "codex-plus-5h-weekly": Verdict(*YES, 38),
    "codex-pro-weekly-only-spark": Verdict(*YES, 79),
    "codex-free-monthly": Verdict(*YES, 95),
    "codex-plus-blocked-weekly": Verdict(*SPENT, 0, AT + 93_600_000),
    "codex-business-usage-based": Verdict(True, "within_limits", 70),
    "codex-team-credits-depleted": Verdict(False, "workspace_member_credits_depleted"),
    "codex-weird-types": Verdict(None, "rolled_over"),
    "codex-stream-rate-limits-event": Verdict(*YES, 38),
    "claude-max-usage": Verdict(True, "within_limits", 29),
    "antigravity-summary": Verdict(True, "within_limits", 48.15),
    "kimi-ratio-pools": Verdict(True, "within_limits", pytest.approx(11.0977)),
    "xai-weekly": Verdict(True, "within_limits", 82.5),
    "xai-monthly": Verdict(True, "within_limits", 99.165),
}
FAILED = {
    "codex-401-token-expired": ("token_expired", 401, "token_expired"),
    "codex-401-token-revoked": ("needs_login", 401, "token_revoked"),
    "codex-401-account-deactivated": ("deactivated", 401, "account_deactivated"),
    "codex-402-deactivated-workspace": ("deactivated", 402, "deactivated_workspace"),
    "codex-403-cloudflare-html": ("blocked_network", 403, None),
    "claude-403-scope": ("unsupported_credential", 403, "permission_error"),
    "claude-429-user-agent": ("rate_limited", 429, "rate_limit_error"),
}


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_has_its_windows_and_no_others(name: str) -> None:
    assert list(parse(name).windows) == ROWS[name]


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_has_its_plan_its_flags_and_its_credits(name: str) -> None:
    facts = FACTS.get(name, {})
    source = "endpoint" if "plan_raw" in facts else None
    assert replace(parse(name), windows=()) == Reading(
        state="ok", observed_at=AT, http_status=200, plan_source=source, complete=True, **facts
    )


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_decides_whether_its_account_can_be_used(name: str) -> None:
    reading = parse(name)
    assert account_verdict(account_of(reading), reading.windows, now=AT) == VERDICTS[name]


def test_one_group_of_models_is_usable_while_the_other_is_unknown() -> None:
    reading = parse("antigravity-summary")
    assert group_verdicts(account_of(reading), reading.windows, now=AT) == {
        "gemini": Verdict(True, "within_limits", 48.15),
        "3p": Verdict(None, "percent_unknown", 100),
    }


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_answer_has_a_state_and_no_windows(name: str) -> None:
    state, status, code = FAILED[name]
    reading = parse(name)
    assert (reading.state, reading.http_status, reading.error_code) == (state, status, code)
    assert (reading.windows, reading.complete) == ((), False)


@pytest.mark.parametrize("name", ["copilot-user", "codex-rate-limit-reset-credits"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_to_another_question_is_a_bad_response(name: str, provider: str) -> None:
    reading = PROVIDERS[provider].parse(sample(name), None)
    assert (reading.state, reading.complete, reading.windows) == ("bad_response", False, ())


def test_the_proxys_envelope_counts_by_its_inner_status() -> None:
    inner = unwrap(sample("mgmt-api-call-wrapper"))
    assert inner is not None
    assert parse("codex", inner).state == "token_expired"


def test_a_reply_of_the_proxy_is_parsed_like_a_direct_answer() -> None:
    outer = Answer(200, {}, (DATA / "management-api-call.json").read_bytes(), AT)
    inner = unwrap(outer)
    assert inner is not None
    reading = parse("codex", inner)
    # The reply's own `Date` is two months later than the clock of this test.
    assert reading.observed_at == 1_795_478_631_000
    assert [w.used_percent for w in reading.windows] == [37, 62]
    assert [w.observed_at for w in reading.windows] == [reading.observed_at] * 2


@pytest.mark.parametrize(
    "outer",
    [
        pytest.param(answer({"error": "auth token not found"}, 400), id="proxy-error"),
        pytest.param(answer({"error": "invalid management key"}, 401), id="wrong-key"),
        pytest.param(answer("<html>"), id="html"),
        pytest.param(answer({"status_code": "many"}), id="no-status"),
        pytest.param(answer([]), id="list"),
    ],
)
def test_a_body_without_an_envelope_is_not_an_answer(outer: Answer) -> None:
    assert unwrap(outer) is None
