"""The known variants of answers are parsed alike, in any type and at any place."""

import json
from typing import Any

import pytest

from quota.model import Window
from quota.providers import PROVIDERS
from tests.support.quota_samples import AT, answer, parse, sample

H5, D7 = 18_000, 604_800


def limit(**windows: Any) -> dict[str, Any]:
    """Return a Codex answer with just this limit."""
    return {"plan_type": "plus", "rate_limit": {"allowed": True, "limit_reached": False, **windows}}


def window(used: Any, seconds: Any = H5, **more: Any) -> dict[str, Any]:
    """Return one Codex window that resets in an hour."""
    return {
        "used_percent": used,
        "limit_window_seconds": seconds,
        "reset_at": AT // 1000 + 3600,
        **more,
    }


def only(body: Any, provider: str = "codex") -> Window:
    """Return the only window of an answer."""
    [result] = parse(provider, answer(body)).windows
    return result


@pytest.mark.parametrize(
    ("content", "expected"),
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
def test_a_codex_window_is_parsed_from_any_types(content: Any, expected: dict[str, Any]) -> None:
    result = only(limit(primary_window=content))
    assert {name: getattr(result, name) for name in expected} == expected


@pytest.mark.parametrize(
    "content",
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
def test_a_window_without_a_value_is_not_a_window(content: Any) -> None:
    reading = parse("codex", answer(limit(primary_window=content)))
    assert (reading.state, reading.complete, reading.windows) == ("ok", True, ())


def test_reversed_positions_are_named_by_length() -> None:
    body = limit(primary_window=window(44, D7), secondary_window=window(12, H5))
    result = parse("codex", answer(body)).windows
    assert [(w.window_key, w.used_percent) for w in result] == [("7d", 44), ("5h", 12)]


def test_an_assumed_length_never_replaces_a_sent_one() -> None:
    body = limit(primary_window=window(44, D7), secondary_window=window(99, None))
    assert only(body).used_percent == 44


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("rate_limit_reached", "rate_limit_reached", id="text"),
        pytest.param({"type": "x_new", "details": "default"}, "x_new", id="object"),
        pytest.param(None, None, id="null"),
        pytest.param({}, None, id="empty"),
        pytest.param(7, None, id="number"),
    ],
)
def test_why_an_account_is_blocked_is_read_from_either_form(value: Any, expected: Any) -> None:
    body = {"plan_type": "plus", "rate_limit_reached_type": value}
    assert parse("codex", answer(body)).reached_type == expected


@pytest.mark.parametrize(
    ("value", "expected"),
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
def test_a_balance_is_a_decimal_or_unknown(value: Any, expected: str | None) -> None:
    body = {"plan_type": "plus", "credits": {"has_credits": True, "balance": value}}
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
def test_a_spend_cap_is_found_at_any_place(body: Any, expected: Any) -> None:
    result = only({"plan_type": "business", **body})
    assert (result.scope, result.window_key, result.gating) == ("spend", "month", True)
    assert (result.scope_key, result.used_percent, result.limit_reached) == expected


def test_extra_limits_by_name_have_the_keys_of_those_by_feature() -> None:
    body = limit() | {"additional_rate_limits": {"GPT-5.3-Codex-Spark": {"primary": window(9)}}}
    assert (only(body).scope_key, only(body).label) == (
        "codex_bengalfox",
        "GPT-5.3-Codex-Spark 5-hour",
    )


def test_code_review_has_its_own_windows() -> None:
    body = limit() | {"code_review_rate_limit": {"primary_window": window(100, D7)}}
    result = only(body)
    assert (result.scope, result.scope_key, result.gating) == ("feature", "code_review", False)


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
    response = sample("codex-business-usage-based")
    reading = PROVIDERS["codex"].parse(response, expected)
    assert reading.state == state
    assert bool(reading.windows) == (state == "ok")


def test_a_personal_account_may_answer_with_its_user_id() -> None:
    assert PROVIDERS["codex"].parse(sample("codex-plus-5h-weekly"), TEAM).state == "ok"


def test_an_answer_of_an_unreadable_shape_retires_no_windows() -> None:
    reading = parse("codex", answer({"plan_type": "plus", "rate_limit": "busy"}))
    assert (reading.state, reading.complete) == ("ok", False)


CLAUDE = {"five_hour": {"utilization": 0, "resets_at": None}, "seven_day": None}


def test_an_idle_claude_account_is_not_started() -> None:
    result = only(CLAUDE, "claude")
    assert (result.used_percent, result.resets_at, result.started) == (0, None, False)


def test_claudes_list_alone_has_the_same_windows() -> None:
    limits = [
        {"kind": "session", "percent": 42, "resets_at": "2026-09-21T16:13:20Z", "scope": None},
        {"kind": "weekly_all", "percent": 71, "resets_at": None, "scope": None},
        {"kind": "weekly_scoped", "percent": 9, "scope": {"model": None, "surface": None}},
        {"kind": "weekly_scoped", "percent": 8, "scope": {"surface": "cowork"}},
        {"kind": {"odd": 1}, "percent": 7},
    ]
    result = parse("claude", answer({"limits": limits})).windows
    assert [(w.scope, w.scope_key, w.window_key, w.used_percent) for w in result] == [
        ("account", "", "5h", 42),
        ("account", "", "7d", 71),
        ("feature", "cowork", "7d", 8),
    ]


def test_a_scoped_limit_of_claude_outranks_its_legacy_window() -> None:
    scope = {"model": {"display_name": "Claude Opus 5"}}
    limits = [{"kind": "weekly_scoped", "percent": 100, "scope": scope}]
    body = CLAUDE | {"seven_day_opus": {"utilization": 0}, "limits": limits}
    result = [w for w in parse("claude", answer(body)).windows if w.scope == "model"]
    assert [(w.scope_key, w.used_percent) for w in result] == [("claude-opus-5", 100)]


def test_a_code_named_window_of_claude_is_stored_but_never_gates() -> None:
    body = {"five_hour": None, "iguana_necktie": {"utilization": 12, "resets_at": None}}
    result = only(body, "claude")
    assert (result.scope, result.scope_key, result.window_key) == (
        "feature",
        "iguana-necktie",
        "unknown",
    )
    assert (result.used_percent, result.assumed, result.gating) == (12, True, False)


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
    result = [w for w in parse("claude", answer(CLAUDE | body)).windows if w.scope == "spend"]
    rows = [(w.used_percent, w.used_value, w.limit_value) for w in result]
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
def test_the_remainder_of_a_bucket_is_parsed_in_any_form(left: Any, used: float | None) -> None:
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
def test_a_bucket_without_a_window_is_named_by_its_other_fields(bucket: Any, key: str) -> None:
    body = {"groups": [{"displayName": "G", "buckets": [bucket | {"remainingFraction": 1}]}]}
    assert only(body, "antigravity").window_key == key


def amounts(limit: Any, used: Any = None, remaining: Any = None) -> dict[str, Any]:
    """Return an amount in Kimi's older form."""
    values = {"limit": limit, "used": used, "remaining": remaining}
    fields = {name: value for name, value in values.items() if value is not None}
    return fields | {"resetTime": "2026-09-24T17:13:20.123456789Z"}


def test_kimis_older_amounts_are_quotas_too() -> None:
    window = {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"}
    limits = [{"window": window, "detail": amounts(200, remaining="150")}]
    reading = parse(
        "kimi", answer({"usage": amounts("1000", "250"), "limits": limits, "subType": "Allegro"})
    )
    assert reading.plan_raw == "allegro"
    result = [(w.window_key, w.used_percent, w.resets_at) for w in reading.windows]
    # A window of five hours cannot reset three days from now.
    assert result == [("7d", 25, AT + 270_000_123), ("5h", 25, None)]
    assert [(w.used_value, w.limit_value) for w in reading.windows] == [
        ("250", "1000"),
        ("50", "200"),
    ]


def test_contradicting_halves_of_kimi_count_by_the_larger_use() -> None:
    pools = {"limit_7d": {"usedRatio": 0, "resetAt": "2026-09-24T17:13:20Z"}}
    result = only({"usages": pools, "usage": amounts("100", "100")}, "kimi")
    assert (result.window_key, result.used_percent) == ("7d", 100)


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
    result = only({"config": {"creditUsagePercent": 5}}, "xai")
    assert (result.window_key, result.resets_at, result.assumed) == ("7d", None, True)


def test_groks_on_demand_budget_lifts_blocks_but_never_gates() -> None:
    config = {"onDemandCap": {"val": 1000}, "onDemandUsed": {"val": 250}}
    result = only({"config": config}, "xai")
    assert (result.scope, result.scope_key, result.gating) == ("spend", "on_demand", False)
    assert (result.used_percent, result.used_value, result.limit_value) == (25, "2.5", "10")
