"""Only quota headers are stored, one value each."""

import pytest

from ledger.quota_headers import MOST_HEADERS, allowed


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        pytest.param("X-Codex-Primary-Used-Percent", True, id="codex"),
        pytest.param("x-codex-additional-gpt-5.3-codex-spark-allowed", True, id="with-a-dot"),
        pytest.param("Anthropic-Ratelimit-Unified-7d_oi-Status", True, id="claude"),
        pytest.param("Retry-After", True, id="retry"),
        pytest.param("Set-Cookie", False, id="cookie"),
        pytest.param("X-Codex-Turn-State", False, id="turn-state"),
        pytest.param("X-Codex-Promo-Message", False, id="promo"),
        pytest.param("Anthropic-Organization-Id", False, id="organisation"),
        pytest.param("X-Request-Id", False, id="request-id"),
        pytest.param("X-Codexes", False, id="similar"),
        pytest.param("x-codex-a\nset-cookie", False, id="two-lines"),
    ],
)
def test_only_quota_headers_are_kept(name: str, is_allowed: bool) -> None:
    assert bool(allowed({name: ["1"]})) is is_allowed


def test_a_header_is_its_first_value_that_is_not_empty() -> None:
    given = {"Retry-After": ["", " ", "5", "9"], "X-Codex-Plan-Type": [], "Retry-AFTER": ["7"]}
    assert allowed(given) == {"retry-after": "5"}


def test_a_long_value_is_left_out_and_a_flood_is_dropped() -> None:
    assert allowed({"Retry-After": ["9" * 201], "X-Codex-Plan-Type": ["9" * 200]}) == {
        "x-codex-plan-type": "9" * 200
    }
    flood = {f"x-codex-{n}": ["1"] for n in range(MOST_HEADERS + 1)}
    assert allowed(flood) == {}
