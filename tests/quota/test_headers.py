"""Quota headers of events count for the right limit of the right account, or not at all."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from ledger.quota_headers import allowed
from quota.http import first_values
from quota.model import Account, HeaderSignal, Reading, Refusal, Window
from quota.signals import read_signal
from quota.verdict import Verdict, account_verdict
from tests.support.quota_samples import AT, DATA

EVENTS = json.loads((DATA / "events.json").read_text())
H5, D7 = 18_000, 604_800


def signal(event: dict[str, Any]) -> HeaderSignal:
    """Return the signal that the ledger stores of an event."""
    fail = event["fail"]
    error = json.loads(fail["body"]) if fail["body"].startswith("{") else None
    return HeaderSignal(
        provider=event["provider"],
        headers=allowed(event.get("response_headers", {})),
        failed=event["failed"],
        status_code=fail["status_code"],
        observed_at=int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000),
        error=error,
    )


def codex(headers: dict[str, str], **more: Any) -> HeaderSignal:
    """Return a successful Codex event with these headers, named without `x-codex-`."""
    named = {f"x-codex-{name}": value for name, value in headers.items()}
    fields = {"provider": "codex", "failed": False, "status_code": 200, "observed_at": AT, **more}
    return HeaderSignal(headers=named, **fields)


def claude(headers: dict[str, str], **more: Any) -> HeaderSignal:
    """Return a Claude event with these headers, named without their common prefix."""
    named = {f"anthropic-ratelimit-unified-{name}": value for name, value in headers.items()}
    fields = {"provider": "claude", "failed": False, "status_code": 200, "observed_at": AT, **more}
    return HeaderSignal(headers=named, **fields)


def row(label: str, key: str, used: float, resets_at: int, **more: Any) -> Window:
    """Return a window read from a header."""
    length = {"5h": H5, "7d": D7, "month": 2_628_000}[key]
    fields = {"scope": "account", "started": True, "gating": True, "source": "header", **more}
    return Window(
        label=label,
        window_key=key,
        window_seconds=length,
        used_percent=used,
        resets_at=resets_at,
        **fields,
    )


def refused(
    windows: tuple[str, ...],
    ends_at: int,
    *,
    scope: str = "account",
    reason: str = "usage_limit_reached",
) -> tuple[Refusal, ...]:
    """Return a refusal whose instant is that of its event."""
    return (Refusal(scope=scope, reason=reason, windows=windows, refused_at=AT, ends_at=ends_at),)


def end_of(reading: Reading) -> int | None:
    """Return when the account's refusal ends."""
    return next((r.ends_at for r in reading.refusals if r.scope == "account"), None)


SPARK = {"scope": "feature", "scope_key": "codex_bengalfox", "gating": False}
NO_CREDITS = {"credits_has": False, "credits_unlimited": False}
CALM, REJECTED = {"limit_reached": False}, {"limit_reached": True}


@pytest.mark.parametrize(
    ("name", "facts", "rows"),
    [
        pytest.param(
            "codex-plus",
            {"plan_raw": "plus", "plan_source": "header", **NO_CREDITS},
            [
                row("5-hour", "5h", 37, 1_795_487_713_000),
                row("weekly", "7d", 62, 1_795_699_993_000),
            ],
            id="both-windows",
        ),
        pytest.param(
            "codex-reversed",
            {"plan_raw": "team", "plan_source": "header", **NO_CREDITS},
            [
                row("weekly", "7d", 44, 1_795_778_593_000),
                row("5-hour", "5h", 12, 1_795_487_593_000),
            ],
            id="reversed-positions",
        ),
        pytest.param(
            "codex-month",
            {"plan_raw": "free", "plan_source": "header", **NO_CREDITS},
            [row("monthly (365/12 d)", "month", 5, 1_797_466_247_000)],
            id="zeros-are-no-window",
        ),
        pytest.param(
            "codex-generic",
            {"plan_raw": "plus", "plan_source": "header", **NO_CREDITS},
            [
                row("5-hour", "5h", 37, 1_787_372_400_000),
                row("weekly", "7d", 12, 1_787_900_000_000),
            ],
            id="generic-limit-name",
        ),
        pytest.param(
            "codex-spark-beside",
            {"plan_raw": "pro", "plan_source": "header", **NO_CREDITS},
            [
                row("weekly", "7d", 21, 1_795_990_943_000),
                row("GPT-5.3-Codex-Spark 5-hour", "5h", 100, 1_795_482_798_000, **SPARK),
                row("GPT-5.3-Codex-Spark weekly", "7d", 48, 1_795_990_943_000, **SPARK),
            ],
            id="extra-family-beside-the-account",
        ),
        pytest.param(
            "codex-429",
            {
                "plan_raw": "plus",
                "plan_source": "header",
                "error_code": "usage_limit_reached",
                "refusals": refused(("7d",), 1_795_572_193_000),
                **NO_CREDITS,
            },
            [
                row("5-hour", "5h", 1, 1_795_495_693_000),
                row("weekly", "7d", 100, 1_795_572_193_000),
            ],
            id="refused",
        ),
        pytest.param(
            "codex-429-bare",
            {
                "error_code": "usage_limit_reached",
                "refusals": refused((), 1_795_572_130_000),
            },
            [],
            id="refused-without-headers",
        ),
        pytest.param(
            "claude-ok",
            {
                "allowed": True,
                "limit_reached": False,
                "refusals": refused(
                    (), 1_795_487_594_000, scope="overage", reason="overage_rejected"
                ),
            },
            [
                row("5-hour", "5h", 41, 1_795_487_594_000, **CALM),
                row("weekly", "7d", 63, 1_795_878_594_000, **CALM),
            ],
            id="claude",
        ),
        pytest.param(
            "claude-429",
            {
                "allowed": False,
                "limit_reached": True,
                "refusals": (
                    *refused(("5h",), 1_795_487_594_000),
                    *refused((), 1_795_487_594_000, scope="overage", reason="overage_rejected"),
                ),
            },
            [
                row("5-hour", "5h", 41, 1_795_487_594_000, **REJECTED),
                row("weekly", "7d", 63, 1_795_878_594_000, **CALM),
            ],
            id="claude-refused",
        ),
    ],
)
def test_a_recorded_event_has_the_windows_of_its_account(
    name: str, facts: dict[str, Any], rows: list[Window]
) -> None:
    facts = dict(facts)
    event = signal(EVENTS[name])
    dated = tuple(replace(window, observed_at=event.observed_at) for window in rows)
    refusals = tuple(
        replace(refusal, refused_at=event.observed_at) for refusal in facts.pop("refusals", ())
    )
    assert read_signal(event) == Reading(
        state=None, observed_at=event.observed_at, windows=dated, refusals=refusals, **facts
    )


@pytest.mark.parametrize(
    "name",
    [
        "codex-400",
        "codex-502",
        "codex-408",
        "codex-499",
        "claude-529",
        "claude-499",
        "codex-bare",
        "gemini-ok",
        "gemini-429",
        "kimi-ok",
    ],
)
def test_an_event_that_may_carry_another_accounts_headers_is_not_read(name: str) -> None:
    assert read_signal(signal(EVENTS[name])) is None


def test_headers_of_a_spark_request_do_not_change_the_account() -> None:
    recorded = json.loads((DATA / "codex-usage-event-headers.json").read_text())
    spark = HeaderSignal(
        provider="codex",
        headers=allowed(recorded["headers"]),
        failed=False,
        status_code=200,
        observed_at=AT,
    )
    window = row("GPT-5.3-Codex-Spark weekly", "7d", 48.5, 1_790_512_345_000, **SPARK)
    assert read_signal(spark) == Reading(
        state=None,
        observed_at=AT,
        plan_raw="pro",
        plan_source="header",
        credits_has=True,
        credits_unlimited=False,
        credits_balance="394.796725",
        windows=(replace(window, observed_at=AT),),
    )


WEEK = {
    "primary-used-percent": "10",
    "primary-window-minutes": "10080",
    "primary-reset-at": "1790100000",
}


@pytest.mark.parametrize(
    ("active", "scope", "key"),
    [
        pytest.param(None, "account", "", id="absent"),
        pytest.param("premium", "account", "", id="premium"),
        pytest.param("Codex", "account", "", id="generic"),
        pytest.param("codex_bengalfox", "feature", "codex_bengalfox", id="feature"),
        pytest.param("codex-bengalfox", "feature", "codex_bengalfox", id="hyphen"),
        pytest.param("GPT-5.3-Codex-Spark", "feature", "codex_bengalfox", id="by-name"),
        pytest.param("gpt-reserve", "feature", "base_model_inference", id="reserve"),
        pytest.param("something_new", "feature", "something_new", id="unknown"),
    ],
)
def test_the_unprefixed_headers_belong_to_the_active_limit(
    active: str | None, scope: str, key: str
) -> None:
    reading = read_signal(codex(WEEK | ({"active-limit": active} if active else {})))
    assert reading is not None
    assert [(w.scope, w.scope_key, w.gating) for w in reading.windows] == [
        (scope, key, scope == "account")
    ]


def test_flags_of_another_limit_never_reach_the_account() -> None:
    flags = {"allowed": "false", "limit-reached": "True", "rate-limit-reached-type": "weekly"}
    blocked = read_signal(codex(WEEK | flags))
    spark = read_signal(codex(WEEK | flags | {"active-limit": "codex_bengalfox"}))
    assert blocked is not None
    assert spark is not None
    assert (blocked.allowed, blocked.limit_reached, blocked.reached_type) == (False, True, "weekly")
    assert (spark.allowed, spark.limit_reached, spark.reached_type) == (None, None, None)
    assert [(w.allowed, w.limit_reached) for w in spark.windows] == [(False, True)]


def test_a_refused_spark_request_does_not_exhaust_the_account() -> None:
    error = {"error": {"type": "usage_limit_reached", "resets_in_seconds": 60}}
    refused = codex({"active-limit": "codex_bengalfox"}, failed=True, status_code=429, error=error)
    reading = read_signal(refused)
    assert reading is not None
    assert (reading.error_code, reading.refusals) == ("usage_limit_reached", ())


@pytest.mark.parametrize(
    ("family", "key"),
    [
        pytest.param("bengalfox-", "codex_bengalfox", id="short-name"),
        pytest.param("additional-gpt-5.3-codex-spark-", "codex_bengalfox", id="from-the-stream"),
        pytest.param("additional-new-limit-", "new-limit", id="new-in-the-stream"),
        pytest.param("code-review-", "code_review", id="code-review"),
    ],
)
def test_an_extra_family_shares_its_row_with_the_usage_answer(family: str, key: str) -> None:
    reading = read_signal(codex({family + name: value for name, value in WEEK.items()}))
    assert reading is not None
    assert [(w.scope, w.scope_key) for w in reading.windows] == [("feature", key)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({**WEEK, "primary-window-minutes": "0"}, id="no-minutes"),
        pytest.param({**WEEK, "primary-window-minutes": "soon"}, id="text-minutes"),
        pytest.param({**WEEK, "primary-used-percent": "oops"}, id="text-percent"),
        pytest.param({**WEEK, "primary-used-percent": "nan"}, id="nan"),
        pytest.param({"primary-used-percent": "5"}, id="percent-alone"),
        pytest.param({"promo-message": "hello"}, id="something-else"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_header_window_needs_minutes_and_a_percentage(headers: dict[str, str]) -> None:
    assert read_signal(codex(headers)) is None


def test_a_header_reset_may_be_sent_as_a_wait() -> None:
    waiting = {**WEEK, "primary-reset-at": "", "primary-reset-after-seconds": "90"}
    reading = read_signal(codex(waiting))
    assert reading is not None
    assert [w.resets_at for w in reading.windows] == [AT + 90_000]


@pytest.mark.parametrize(
    ("error", "until"),
    [
        pytest.param({"type": "usage_limit_reached", "resets_at": 1_790_000_060}, 60, id="inner"),
        pytest.param({"code": "usage_limit_reached", "resets_in_seconds": 30}, 30, id="seconds"),
        pytest.param({"error": {"type": "usage_limit_reached"}}, None, id="without-an-end"),
        pytest.param({"type": "rate_limit_exceeded", "resets_at": 1_790_000_060}, None, id="rate"),
        pytest.param(None, None, id="no-body"),
    ],
)
def test_only_a_reached_usage_limit_exhausts_a_plan(error: Any, until: int | None) -> None:
    reading = read_signal(codex(WEEK, failed=True, status_code=429, error=error))
    assert reading is not None
    assert end_of(reading) == (AT + until * 1000 if until else None)


def test_a_plan_without_codex_has_its_own_blocking_reason() -> None:
    error = {"error": {"type": "usage_not_included"}}
    reading = read_signal(codex({}, failed=True, status_code=429, error=error))
    assert reading is not None
    (refusal,) = reading.refusals
    assert (refusal.reason, refusal.needs_success) == ("usage_not_included", True)


def test_a_success_status_never_makes_a_failed_event_trustworthy() -> None:
    assert read_signal(codex(WEEK, failed=True, status_code=200)) is None


def test_claudes_utilization_is_a_fraction_and_may_exceed_one() -> None:
    reading = read_signal(claude({"5h-utilization": "1.02", "7d-utilization": "-0.0"}))
    assert reading is not None
    assert [w.used_percent for w in reading.windows] == [102, 0]


MODEL_ONLY = {
    "status": "rejected",
    "reset": "1790050000",
    "5h-status": "allowed",
    "5h-utilization": "0.0",
    "7d-status": "allowed_warning",
    "7d-utilization": "0.94",
    "7d_oi-status": "rejected",
    "7d_oi-utilization": "1.0",
    "7d_oi-reset": "1790050000",
}


def test_a_models_own_limit_of_claude_never_blocks_the_account() -> None:
    reading = read_signal(claude(MODEL_ONLY, failed=True, status_code=429))
    assert reading is not None
    assert (reading.allowed, reading.refusals) == (None, ())
    model = reading.windows[-1]
    assert (model.scope, model.scope_key, model.label) == ("model", "oi", "overage-included weekly")
    assert (model.used_percent, model.limit_reached, model.gating) == (100, True, False)
    state = Account(state="ok", observed_at=AT)
    assert account_verdict(state, reading.windows, now=AT) == Verdict(True, "within_limits", 6)


@pytest.mark.parametrize(
    ("headers", "allowed_now", "until"),
    [
        pytest.param({"status": "rejected", "reset": "1790000060"}, False, 60, id="status-alone"),
        pytest.param(
            {
                "status": "rejected",
                "reset": "1790000999",
                "5h-status": "rejected",
                "5h-reset": "1790000060",
            },
            False,
            60,
            id="own-reset-before-the-floating-one",
        ),
        pytest.param(
            {"status": "rejected", "representative-claim": "seven_day_opus", "reset": "1790000060"},
            None,
            None,
            id="claim-of-a-model",
        ),
        pytest.param({"status": "allowed_warning"}, True, None, id="warning"),
    ],
)
def test_a_refusal_of_claude_ends_with_the_window_that_refuses(
    headers: dict[str, str], allowed_now: bool | None, until: int | None
) -> None:
    reading = read_signal(claude(headers, failed=True, status_code=429))
    result = (None, None) if reading is None else (reading.allowed, end_of(reading))
    assert result == (allowed_now, AT + until * 1000 if until else None)


def test_an_allowed_status_without_utilization_replaces_no_percentage() -> None:
    reading = read_signal(claude({"5h-status": "allowed", "7d-status": "rejected"}))
    assert reading is not None
    assert [(w.window_key, w.used_percent) for w in reading.windows] == [("7d", None)]


def test_a_signal_keeps_its_headers_out_of_logs() -> None:
    assert "bengalfox" not in repr(codex({"active-limit": "codex_bengalfox"}))


def test_the_first_value_of_a_header_counts() -> None:
    assert first_values({"A": 1, "B": [None], "C": "x"}) == {"c": "x"}
