"""Every known answer is read as what it says: whole rows, and nothing that it does not say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quota.answers import first_values
from quota.envelope import filled, unwrapped, wrapped
from quota.identity import Credential
from quota.model import Account, Answer, Reading, Window
from quota.providers import PROVIDERS, plans
from quota.providers.codex_resets import ResetCredits
from quota.providers.codex_resets import parse as parse_resets
from quota.providers.codex_resets import request as resets_request
from quota.usable import Verdict, verdict, verdicts

DATA = Path(__file__).parent / "data" / "quota"
AT = 1_790_000_000_000
H5, D7, D30 = 18_000, 604_800, 2_592_000


def sample(name: str) -> Answer:
    """Give a sample as the answer it records."""
    told = json.loads((DATA / f"{name}.json").read_text())
    body = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
    return Answer(told["status"], first_values(told["headers"]), body, told["observed_at"] * 1000)


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """Give an answer of one's own making."""
    return Answer(status, headers, body if isinstance(body, str) else json.dumps(body), AT)


def parse(name: str, given: Answer | None = None) -> Reading:
    """Read a sample by its provider's parser, or another answer by that parser."""
    return PROVIDERS[name.split("-")[0]].parse(given or sample(name), None)


def account(reading: Reading) -> Account:
    """Give the state that storing a reading leaves."""
    names = ("state", "observed_at", "allowed", "limit_reached", "reached_type")
    return Account(**{name: getattr(reading, name) for name in names})


def row(label: str, key: str, used: float | None, resets: int | None, **more: Any) -> Window:
    """Give an ordinary gating window of the account; `resets` in seconds after the answer."""
    known = {"scope": "account", "started": True, "gating": True, "observed_at": AT, **more}
    if key in ("5h", "7d", "30d"):
        known.setdefault("window_seconds", {"5h": H5, "7d": D7, "30d": D30}[key])
    at = None if resets is None else AT + resets
    return Window(label=label, window_key=key, used_percent=used, resets_at=at, **known)


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
        row("Opus weekly", "7d", 100, 260_000_000, scope_key="opus", **MODEL),
        row("Sonnet weekly", "7d", 3, 260_000_654, scope_key="sonnet", **MODEL),
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
def test_an_answer_gives_its_windows_and_no_others(name: str) -> None:
    assert list(parse(name).windows) == ROWS[name]


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_gives_its_plan_its_flags_and_its_credits(name: str) -> None:
    facts = FACTS.get(name, {})
    source = "endpoint" if "plan_raw" in facts else None
    assert replace(parse(name), windows=()) == Reading(
        state="ok", observed_at=AT, http_status=200, plan_source=source, complete=True, **facts
    )


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_tells_whether_its_account_can_be_used(name: str) -> None:
    reading = parse(name)
    assert verdict(account(reading), reading.windows, AT) == VERDICTS[name]


def test_one_group_of_models_is_usable_while_the_other_is_unknown() -> None:
    reading = parse("antigravity-summary")
    assert verdicts(account(reading), reading.windows, AT) == {
        "gemini": Verdict(True, "within_limits", 48.15),
        "3p": Verdict(None, "percent_unknown", 100),
    }


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_answer_has_a_state_and_says_nothing_of_windows(name: str) -> None:
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
    inner = unwrapped(sample("mgmt-api-call-wrapper"))
    assert inner is not None
    assert parse("codex", inner).state == "token_expired"


def test_a_reply_of_the_running_proxy_reads_like_a_direct_answer() -> None:
    outer = Answer(200, {}, (DATA / "management-api-call.json").read_bytes(), AT)
    inner = unwrapped(outer)
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
def test_what_is_no_envelope_is_no_answer(outer: Answer) -> None:
    assert unwrapped(outer) is None


def limit(**windows: Any) -> dict[str, Any]:
    """Give a Codex answer with just this limit."""
    return {"plan_type": "plus", "rate_limit": {"allowed": True, "limit_reached": False, **windows}}


def window(used: Any, seconds: Any = H5, **more: Any) -> dict[str, Any]:
    """Give one Codex window that resets in an hour."""
    return {
        "used_percent": used,
        "limit_window_seconds": seconds,
        "reset_at": AT // 1000 + 3600,
        **more,
    }


def only(body: Any, provider: str = "codex") -> Window:
    """Read an answer that has exactly one window."""
    [found] = parse(provider, answer(body)).windows
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(window(5), {"resets_at": AT + 3_600_000}, id="seconds"),
        pytest.param(window(5, reset_at=AT + 3_600_000), {"resets_at": AT + 3_600_000}, id="ms"),
        pytest.param(window(5, reset_at="1790003600"), {"resets_at": AT + 3_600_000}, id="text"),
        pytest.param(
            window(5, reset_at=0, reset_after_seconds=60), {"resets_at": AT + 60_000}, id="after"
        ),
        pytest.param(window(5, reset_at=0), {"resets_at": None}, id="reset-zero"),
        pytest.param(window(5, reset_at=AT // 1000 + 20_000), {"resets_at": None}, id="too-far"),
        pytest.param(
            window(5, reset_at=AT // 1000 + 19_000), {"resets_at": AT + 19_000_000}, id="far"
        ),
        pytest.param(window("64.5"), {"used_percent": 64.5}, id="text-percent"),
        pytest.param(window(True), {"used_percent": None}, id="bool-percent"),
        pytest.param(window(-1), {"used_percent": None}, id="negative"),
        pytest.param(window(103), {"used_percent": 103}, id="above-100"),
        pytest.param(window(5, "18000"), {"window_key": "5h"}, id="text-length"),
        pytest.param(window(5, 18_100), {"window_key": "5h"}, id="within-1-percent"),
        pytest.param(window(5, 2_628_000), {"window_key": "month"}, id="twelfth-of-a-year"),
        pytest.param(window(5, 2_592_000), {"window_key": "30d"}, id="thirty-days"),
        pytest.param(window(5, 2_500_000), {"window_key": "month"}, id="29-days"),
        pytest.param(
            window(5, 5400), {"window_key": "w5400", "label": "1 h 30 min"}, id="other-length"
        ),
        pytest.param(
            window(5, None), {"window_key": "5h", "assumed": True}, id="no-length-is-assumed"
        ),
        pytest.param(
            {"usedPercent": 5, "limitWindowSeconds": D7, "resetAt": AT // 1000 + 60},
            {"window_key": "7d", "used_percent": 5, "resets_at": AT + 60_000},
            id="camel-case",
        ),
        pytest.param(window(0, reset_at=AT // 1000 + H5), {"started": False}, id="not-started"),
        pytest.param(window(0), {"started": True}, id="opened-but-unused"),
    ],
)
def test_a_codex_window_is_read_whatever_its_types(given: Any, expected: dict[str, Any]) -> None:
    found = only(limit(primary_window=given))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param([], id="list"),
        pytest.param(
            {"used_percent": 0, "limit_window_seconds": 0, "reset_after_seconds": 0, "reset_at": 0},
            id="zeros",
        ),
        pytest.param({"used_percent": None}, id="only-a-null"),
    ],
)
def test_a_window_that_says_nothing_is_no_window(given: Any) -> None:
    reading = parse("codex", answer(limit(primary_window=given)))
    assert (reading.state, reading.complete, reading.windows) == ("ok", True, ())


def test_reversed_positions_are_named_by_length() -> None:
    body = limit(primary_window=window(44, D7), secondary_window=window(12, H5))
    found = parse("codex", answer(body)).windows
    assert [(w.window_key, w.used_percent) for w in found] == [("7d", 44), ("5h", 12)]


def test_an_assumed_length_never_replaces_a_told_one() -> None:
    body = limit(primary_window=window(44, D7), secondary_window=window(99, None))
    assert only(body).used_percent == 44


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("rate_limit_reached", "rate_limit_reached", id="text"),
        pytest.param({"type": "x_new", "details": "default"}, "x_new", id="object"),
        pytest.param(None, None, id="null"),
        pytest.param({}, None, id="empty"),
        pytest.param(7, None, id="number"),
    ],
)
def test_why_an_account_is_blocked_is_read_from_either_form(told: Any, expected: Any) -> None:
    body = {"plan_type": "plus", "rate_limit_reached_type": told}
    assert parse("codex", answer(body)).reached_type == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param("0E-10", "0", id="scientific-zero"),
        pytest.param(4.52, "4.52", id="number"),
        pytest.param("62498.725", "62498.725", id="text"),
        pytest.param("62498.7250000000", "62498.725", id="trailing-zeros"),
        pytest.param(25, "25", id="integer"),
        pytest.param("1E+2", "100", id="exponent"),
        pytest.param("NaN", None, id="nan"),
        pytest.param(True, None, id="bool"),
        pytest.param("-3", None, id="negative"),
    ],
)
def test_a_balance_is_a_decimal_or_unknown(told: Any, expected: str | None) -> None:
    body = {"plan_type": "plus", "credits": {"has_credits": True, "balance": told}}
    assert parse("codex", answer(body)).credits_balance == expected


def test_no_credits_at_all_is_unknown_not_none() -> None:
    reading = parse("codex", answer({"plan_type": "plus", "credits": None}))
    assert (reading.credits_has, reading.credits_balance) == (None, None)


CAP = {"limit": "100", "used": "25", "used_percent": None, "reset_at": AT // 1000 + 60}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"individual_limit": CAP}, ("individual", 25, None), id="at-the-root"),
        pytest.param(
            {"rate_limit": {"individual_limit": CAP}}, ("individual", 25, None), id="in-rate-limit"
        ),
        pytest.param(
            {
                "spend_control": {
                    "reached": True,
                    "reached_limit_type": "group_shared",
                    "group_shared_limit": {"group_id": "g", "group_name": "Team", "details": CAP},
                }
            },
            ("group_shared", 25, True),
            id="wrapped-by-its-group",
        ),
        pytest.param(
            {"spend_control": {"reached": True, "individual_limit": None}},
            ("unnamed", None, True),
            id="reached-but-not-shown",
        ),
        pytest.param(
            {
                "spend_control": {
                    "reached": True,
                    "reached_limit_type": "role_budget",
                    "role_budget_limit": {**CAP, "used_percent": 100},
                }
            },
            ("role_budget", 100, True),
            id="role",
        ),
    ],
)
def test_a_spend_cap_is_found_wherever_it_stands(body: Any, expected: Any) -> None:
    found = only({"plan_type": "business", **body})
    assert (found.scope, found.window_key, found.gating) == ("spend", "month", True)
    assert (found.scope_key, found.used_percent, found.limit_reached) == expected


def test_extra_limits_by_name_share_the_rows_of_those_by_feature() -> None:
    body = limit() | {"additional_rate_limits": {"GPT-5.3-Codex-Spark": {"primary": window(9)}}}
    assert (only(body).scope_key, only(body).label) == (
        "codex_bengalfox",
        "GPT-5.3-Codex-Spark 5-hour",
    )


def test_code_review_has_rows_of_its_own() -> None:
    body = limit() | {"code_review_rate_limit": {"primary_window": window(100, D7)}}
    found = only(body)
    assert (found.scope, found.scope_key, found.gating) == ("feature", "code_review", False)


TEAM = "99999999-8888-4777-8666-555555555555"


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        pytest.param(TEAM, "ok", id="same"),
        pytest.param(TEAM.upper(), "ok", id="same-in-capitals"),
        pytest.param(None, "ok", id="not-known"),
        pytest.param("11111111-8888-4777-8666-555555555555", "wrong_workspace", id="other"),
    ],
)
def test_an_answer_about_another_workspace_is_not_taken(expected: str | None, state: str) -> None:
    given = sample("codex-business-usage-based")
    reading = PROVIDERS["codex"].parse(given, expected)
    assert reading.state == state
    assert bool(reading.windows) == (state == "ok")


def test_a_personal_account_may_answer_with_its_user_id() -> None:
    assert PROVIDERS["codex"].parse(sample("codex-plus-5h-weekly"), TEAM).state == "ok"


def test_an_answer_of_an_unreadable_shape_retires_no_windows() -> None:
    reading = parse("codex", answer({"plan_type": "plus", "rate_limit": "busy"}))
    assert (reading.state, reading.complete) == ("ok", False)


CLAUDE = {"five_hour": {"utilization": 0, "resets_at": None}, "seven_day": None}


def test_an_idle_claude_account_is_not_started() -> None:
    found = only(CLAUDE, "claude")
    assert (found.used_percent, found.resets_at, found.started) == (0, None, False)


def test_claudes_list_alone_gives_the_same_windows() -> None:
    limits = [
        {"kind": "session", "percent": 42, "resets_at": "2026-09-21T16:13:20Z", "scope": None},
        {"kind": "weekly_all", "percent": 71, "resets_at": None, "scope": None},
        {"kind": "weekly_scoped", "percent": 9, "scope": {"model": None, "surface": None}},
        {"kind": "weekly_scoped", "percent": 8, "scope": {"surface": "cowork"}},
        {"kind": {"odd": 1}, "percent": 7},
    ]
    found = parse("claude", answer({"limits": limits})).windows
    assert [(w.scope, w.scope_key, w.window_key, w.used_percent) for w in found] == [
        ("account", "", "5h", 42),
        ("account", "", "7d", 71),
        ("feature", "cowork", "7d", 8),
    ]


def test_a_scoped_limit_of_claude_outranks_its_legacy_window() -> None:
    scope = {"model": {"display_name": "Claude Opus 5"}}
    limits = [{"kind": "weekly_scoped", "percent": 100, "scope": scope}]
    body = CLAUDE | {"seven_day_opus": {"utilization": 0}, "limits": limits}
    found = [w for w in parse("claude", answer(body)).windows if w.scope == "model"]
    assert [(w.scope_key, w.used_percent) for w in found] == [("claude-opus-5", 100)]


def test_a_code_named_window_of_claude_is_kept_but_never_gates() -> None:
    body = {"five_hour": None, "iguana_necktie": {"utilization": 12, "resets_at": None}}
    found = only(body, "claude")
    assert (found.scope, found.scope_key, found.window_key) == (
        "feature",
        "iguana-necktie",
        "unknown",
    )
    assert (found.used_percent, found.assumed, found.gating) == (12, True, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"extra_usage": {"is_enabled": False, "utilization": 5}}, None, id="off"),
        pytest.param({"extra_usage": None}, None, id="null"),
        pytest.param(
            {"extra_usage": {"is_enabled": True, "used_credits": 50, "monthly_limit": 200}},
            (25, "0.5", "2"),
            id="without-utilization",
        ),
        pytest.param(
            {"extra_usage": {"is_enabled": True, "used_credits": None, "monthly_limit": None}},
            (None, None, None),
            id="unknown",
        ),
        pytest.param(
            {
                "spend": {
                    "enabled": True,
                    "percent": 10,
                    "used": {"amount_minor": 1500, "currency": "JPY", "exponent": 0},
                    "limit": {"amount_minor": 15_000, "currency": "JPY", "exponent": 0},
                }
            },
            (10, "1500", "15000"),
            id="newer-shape",
        ),
    ],
)
def test_claudes_extra_usage_shows_only_while_enabled(body: Any, expected: Any) -> None:
    found = [w for w in parse("claude", answer(CLAUDE | body)).windows if w.scope == "spend"]
    rows = [(w.used_percent, w.used_value, w.limit_value) for w in found]
    assert rows == ([] if expected is None else [expected])


BUCKET = {"bucketId": "gemini-5h", "window": "5h", "resetTime": "2026-09-21T17:16:40Z"}


@pytest.mark.parametrize("wrapper", ["response", "summary", "body"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_wrapped_summary_is_opened(wrapper: str, as_text: bool) -> None:
    groups: Any = {"groups": [{"displayName": "G", "buckets": [BUCKET | {"remainingFraction": 1}]}]}
    body = {wrapper: json.dumps(groups) if as_text else groups}
    assert only(body, "antigravity").used_percent == 0


@pytest.mark.parametrize(
    ("left", "used"),
    [
        pytest.param({"remainingFraction": "72%"}, 28, id="percent-text"),
        pytest.param({"remaining_fraction": 0.25}, 75, id="snake-case"),
        pytest.param({"remaining": {"remainingFraction": 0.5}}, 50, id="nested"),
        pytest.param({"remaining": {"case": "remainingFraction", "value": 0}}, 100, id="union"),
        pytest.param({"remainingFraction": 0}, 100, id="spent"),
        pytest.param({"remainingFraction": None}, None, id="null"),
        pytest.param({"remainingFraction": 1.5}, None, id="more-than-all"),
        pytest.param({}, None, id="missing"),
    ],
)
def test_what_a_bucket_leaves_is_read_in_any_form(left: Any, used: float | None) -> None:
    body = {"groups": [{"displayName": "G", "buckets": [BUCKET | left]}]}
    assert only(body, "antigravity").used_percent == used


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        pytest.param({"bucketId": "3p-weekly"}, "7d", id="by-id"),
        pytest.param({"displayName": "Five Hour Limit"}, "5h", id="by-name"),
        pytest.param({"displayName": "Session"}, "5h", id="by-session"),
        pytest.param({"displayName": "Credits"}, "unknown", id="unknown"),
    ],
)
def test_a_bucket_without_a_window_is_named_by_what_else_it_says(bucket: Any, key: str) -> None:
    body = {"groups": [{"displayName": "G", "buckets": [bucket | {"remainingFraction": 1}]}]}
    assert only(body, "antigravity").window_key == key


def amounts(limit: Any, used: Any = None, remaining: Any = None) -> dict[str, Any]:
    """Give an amount in Kimi's older form."""
    told = {"limit": limit, "used": used, "remaining": remaining}
    known = {name: value for name, value in told.items() if value is not None}
    return known | {"resetTime": "2026-09-24T17:13:20.123456789Z"}


def test_kimis_older_amounts_are_quotas_too() -> None:
    window = {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"}
    limits = [{"window": window, "detail": amounts(200, remaining="150")}]
    reading = parse(
        "kimi", answer({"usage": amounts("1000", "250"), "limits": limits, "subType": "Allegro"})
    )
    assert reading.plan_raw == "allegro"
    assert list(reading.windows) == [
        row("weekly", "7d", 25, 270_000_123, used_value="250", limit_value="1000"),
        # A window of five hours cannot reset three days from now.
        row("5-hour", "5h", 25, None, used_value="50", limit_value="200"),
    ]


def test_contradicting_halves_of_kimi_count_by_the_larger_use() -> None:
    pools = {"limit_7d": {"usedRatio": 0, "resetAt": "2026-09-24T17:13:20Z"}}
    found = only({"usages": pools, "usage": amounts("100", "100")}, "kimi")
    assert (found.window_key, found.used_percent) == ("7d", 100)


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(amounts("0", "0", "0"), id="limit-zero"),
        pytest.param(amounts(None, "5"), id="no-limit"),
    ],
)
def test_an_amount_without_a_limit_is_no_quota(usage: Any) -> None:
    assert parse("kimi", answer({"usage": usage})).windows == ()


def test_an_amount_without_use_is_unknown() -> None:
    assert only({"usage": amounts("100")}, "kimi").used_percent is None


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"currentPeriod": {"type": "USAGE_PERIOD_TYPE_WEEKLY"}}, id="no-percent"),
        pytest.param({"monthlyLimit": {"val": 0}, "used": {"val": 0}}, id="placeholder-limit"),
        pytest.param({"creditUsagePercent": None}, id="null-percent"),
        pytest.param({"creditUsagePercent": "NaN"}, id="nan"),
    ],
)
def test_a_grok_plan_without_a_percentage_has_no_window(config: Any) -> None:
    reading = parse("xai", answer({"config": config}))
    assert (reading.state, reading.windows) == ("ok", ())


def test_a_grok_period_without_dates_is_assumed_to_be_a_week() -> None:
    found = only({"config": {"creditUsagePercent": 5}}, "xai")
    assert (found.window_key, found.resets_at, found.assumed) == ("7d", None, True)


def test_groks_on_demand_budget_lifts_blocks_but_never_gates() -> None:
    config = {"onDemandCap": {"val": 1000}, "onDemandUsed": {"val": 250}}
    found = only({"config": config}, "xai")
    assert (found.scope, found.scope_key, found.gating) == ("spend", "on_demand", False)
    assert (found.used_percent, found.used_value, found.limit_value) == (25, "2.5", "10")


@pytest.mark.parametrize(
    ("given", "state", "code"),
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
def test_a_failure_is_told_apart_by_what_should_happen_next(
    given: Answer, state: str, code: str | None
) -> None:
    reading = parse("codex", given)
    assert (reading.state, reading.error_code) == (state, code)
    assert (reading.windows, reading.complete) == ((), False)


@pytest.mark.parametrize(
    ("said", "line"),
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
def test_an_error_line_is_short_and_names_nobody(said: Any, line: str) -> None:
    body = said if isinstance(said, str) else {"error": said}
    assert parse("codex", answer(body, 401)).error_text == line


def credential(**more: Any) -> Credential:
    """Give a credential with everything a request may need."""
    return Credential(account_key="k", provider="p", display_name="d", file_name="f.json", **more)


def test_a_codex_request_names_its_workspace_and_only_then() -> None:
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
def test_a_request_has_what_its_provider_insists_on(provider: str, header: str, value: str) -> None:
    request = PROVIDERS[provider].request(credential(user_id="user"))
    assert request.headers[header].startswith(value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_names_the_token_without_holding_it(provider: str) -> None:
    known = PROVIDERS[provider]
    asks = [known.request, known.fallback, known.plan and known.plan[0], resets_request]
    for ask in filter(None, asks):
        request = ask(credential(account_id=TEAM, project_id="proj-1"))
        assert request.headers["Authorization"] == "Bearer $TOKEN$"
        assert filled(request.headers, "secret")["Authorization"] == "Bearer secret"
        assert request.path.startswith("/")
        assert "secret" not in repr(request)
        assert not {"accept-encoding", "cookie"} & {name.lower() for name in request.headers}


def test_a_request_wrapped_for_the_proxy_has_an_absolute_url() -> None:
    known = PROVIDERS["antigravity"]
    request = known.request(credential(project_id="proj-1"))
    assert wrapped(request, base=known.bases[0], auth_index="ab12") == {
        "auth_index": "ab12",
        "method": "POST",
        "url": "https://daily-cloudcode-pa.googleapis.com/v1internal:retrieveUserQuotaSummary",
        "header": dict(request.headers),
        "data": '{"project": "proj-1"}',
    }


def test_grok_is_asked_for_credits_first_and_the_plain_view_next() -> None:
    known = PROVIDERS["xai"]
    assert known.fallback is not None
    paths = [ask(credential()).path for ask in (known.request, known.fallback)]
    assert paths == ["/v1/billing?format=credits", "/v1/billing"]


@pytest.mark.parametrize(
    ("read", "body", "plan"),
    [
        pytest.param(
            plans.claude_plan,
            {
                "account": {"has_claude_pro": True},
                "organization": {"organization_type": "Claude_Team"},
            },
            "claude_team",
            id="organization",
        ),
        pytest.param(
            plans.claude_plan,
            {"account": {"has_claude_max": True, "has_claude_pro": True}},
            "claude_max",
            id="max-before-pro",
        ),
        pytest.param(plans.claude_plan, {"account": {"has_claude_max": None}}, None, id="unknown"),
        pytest.param(
            plans.antigravity_plan,
            {"currentTier": {"id": "free-tier"}, "paidTier": {"id": "g1-pro-tier"}},
            "g1-pro-tier",
            id="paid-tier",
        ),
        pytest.param(
            plans.antigravity_plan, {"currentTier": {"id": "free-tier"}}, "free-tier", id="tier"
        ),
    ],
)
def test_a_plan_is_read_from_its_own_answer(read: Any, body: Any, plan: str | None) -> None:
    reading = read(answer(body))
    assert (reading.state, reading.plan_raw, reading.complete) == ("ok", plan, False)


def test_banked_resets_tell_when_the_first_lapses() -> None:
    assert parse_resets(sample("codex-rate-limit-reset-credits")) == ResetCredits(
        1, AT + 20 * 86_400_000
    )
    assert isinstance(parse_resets(sample("codex-401-token-expired")), Reading)
