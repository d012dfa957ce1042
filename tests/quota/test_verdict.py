"""A verdict is yes only for recent values that permit it; a no has its reason and end."""

from typing import Any

import pytest

from quota.model import Account, Refusal, Window
from quota.verdict import Verdict, account_verdict, group_verdicts, left, left_per_hour, sort_key
from tests.support.quota_ledger import RESETS, gating_window
from tests.support.quota_samples import AT

MINUTE, HOUR = 60_000, 3_600_000


def account(**more: Any) -> Account:
    """Return an account whose last answer came just now."""
    return Account(**{"state": "ok", "observed_at": AT, **more})


def spend(used: float | None, **more: Any) -> Window:
    """Return a monthly budget."""
    return gating_window("month", used, **{"scope": "spend", **more})


PERMIT, BLOCK = {"allowed": True, "limit_reached": False}, {"allowed": False, "limit_reached": True}
EXTRA = {"gating": False, "scope_key": "extra_usage"}
BOTH = {"limit_reached": True}


@pytest.mark.parametrize(
    ("state", "windows", "expected"),
    [
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 37), gating_window("7d", 62)],
            Verdict(True, "allowed", 38),
            id="least-left-counts",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 42)],
            Verdict(True, "within_limits", 58),
            id="without-flags",
        ),
        pytest.param(
            account(**BLOCK, reached_type="rate_limit_reached"),
            [gating_window("5h", 1, **BOTH), gating_window("7d", 100, **BOTH)],
            Verdict(False, "rate_limit_reached", 0, RESETS["7d"]),
            id="empty-5h-beside-a-spent-week",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), gating_window("7d", 100)],
            Verdict(False, "window_spent", 0, RESETS["7d"]),
            id="the-last-reset-counts",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), gating_window("7d", 100, resets_at=None)],
            Verdict(False, "window_spent", 0, None),
            id="an-unknown-reset-hides-the-end",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 100), gating_window("7d", 40)],
            Verdict(True, "allowed", 0),
            id="permitted-at-100",
        ),
        pytest.param(
            account(**PERMIT, observed_at=AT - 10 * MINUTE),
            [gating_window("5h", 100)],
            Verdict(False, "window_spent", 0, RESETS["5h"]),
            id="a-newer-window-outdates-the-permission",
        ),
        pytest.param(
            account(allowed=False),
            [gating_window("5h", 40)],
            Verdict(False, "not_allowed", 60),
            id="forbidden-below-100",
        ),
        pytest.param(
            account(allowed=True, limit_reached=True),
            [gating_window("5h", 40)],
            Verdict(False, "limit_reached", 60),
            id="reached-though-allowed",
        ),
        pytest.param(
            account(reached_type="new_kind"),
            [gating_window("5h", 40)],
            Verdict(False, "new_kind", 60),
            id="an-unknown-reason-blocks",
        ),
        pytest.param(
            account(allowed=True, reached_type="new_kind"),
            [gating_window("5h", 40)],
            Verdict(True, "allowed", 60),
            id="permission-outranks-a-reason",
        ),
        pytest.param(
            account(reached_type="workspace_member_credits_depleted"),
            [],
            Verdict(False, "workspace_member_credits_depleted"),
            id="no-window-yet-blocked",
        ),
        pytest.param(account(), [], Verdict(None, "no_limit_published"), id="no-window"),
        pytest.param(
            account(state="never", observed_at=None), [], Verdict(None, "never"), id="never"
        ),
        pytest.param(
            account(allowed=False, observed_at=None),
            [],
            Verdict(None, "stale"),
            id="a-flag-of-no-date-is-no-ground",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", None)],
            Verdict(None, "percent_unknown"),
            id="allowed-but-nothing-known",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 0), gating_window("7d", None)],
            Verdict(None, "percent_unknown", 100),
            id="one-unknown-among-known",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 20), gating_window("7d", None)],
            Verdict(True, "allowed", 80),
            id="one-unknown-but-allowed",
        ),
        pytest.param(
            account(limit_reached=True),
            [gating_window("7d", None, **BOTH)],
            Verdict(False, "limit_reached", 0, RESETS["7d"]),
            id="the-only-window-must-be-the-spent-one",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 41, **BOTH), gating_window("7d", 63, limit_reached=False)],
            Verdict(False, "window_spent", 37, RESETS["5h"]),
            id="a-refusing-window-below-100",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 37), gating_window("5h", 100, scope="feature", gating=False)],
            Verdict(True, "allowed", 63),
            id="a-spent-feature-blocks-nothing",
        ),
        pytest.param(account(), [spend(30)], Verdict(True, "within_limits", 70), id="spend-alone"),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 10), spend(100, resets_at=AT + HOUR)],
            Verdict(False, "spend_reached", 0, AT + HOUR),
            id="spent-budget",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 10), spend(None, limit_reached=True)],
            Verdict(False, "spend_reached", 0),
            id="reached-budget-without-a-number",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), spend(24.7, **EXTRA)],
            Verdict(True, "overage", 0),
            id="extra-usage-takes-over",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), spend(100, **EXTRA)],
            Verdict(False, "window_spent", 0, RESETS["5h"]),
            id="extra-usage-is-spent-too",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), spend(None, **EXTRA)],
            Verdict(None, "overage_unknown", 0),
            id="extra-usage-unknown",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 10), spend(100, **EXTRA)],
            Verdict(True, "within_limits", 90),
            id="a-spent-extra-budget-blocks-nothing",
        ),
        pytest.param(
            account(disabled=True, **PERMIT),
            [gating_window("5h", 10)],
            Verdict(False, "disabled", 90),
            id="disabled",
        ),
        pytest.param(
            account(state="needs_login"),
            [gating_window("5h", 10)],
            Verdict(False, "needs_login", 90),
            id="needs-login",
        ),
        pytest.param(
            account(state="deactivated"), [], Verdict(False, "deactivated"), id="deactivated"
        ),
        pytest.param(
            account(state="auth_error"),
            [gating_window("5h", 10)],
            Verdict(None, "auth_error", 90),
            id="refused-for-no-known-reason",
        ),
        pytest.param(
            account(state="unsupported_credential", observed_at=None),
            [],
            Verdict(None, "unsupported_credential"),
            id="unreadable",
        ),
        pytest.param(
            account(state="unsupported_credential", observed_at=None),
            [gating_window("5h", 10, source="header")],
            Verdict(True, "within_limits", 90),
            id="unreadable-but-told-by-headers",
        ),
        pytest.param(
            account(state="blocked_network"),
            [gating_window("5h", 10)],
            Verdict(True, "within_limits", 90),
            id="a-failed-poll-keeps-what-was-known",
        ),
    ],
)
def test_an_account_has_its_verdict(
    state: Account, windows: list[Window], expected: Verdict
) -> None:
    assert account_verdict(state, windows, now=AT) == expected


def refusal(at: int, **more: Any) -> Refusal:
    """Return a refusal of the account."""
    return Refusal(**{"reason": "usage_limit_reached", "refused_at": at, **more})


HELD = Verdict(False, "usage_limit_reached", 1, AT + HOUR)


@pytest.mark.parametrize(
    ("state", "windows", "refused", "expected"),
    [
        pytest.param(
            account(),
            [gating_window("5h", 1), gating_window("7d", 99)],
            refusal(AT, ends_at=AT + HOUR),
            HELD,
            id="refused-by-generation",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 1), gating_window("7d", 100)],
            refusal(AT, ends_at=AT + HOUR),
            Verdict(False, "usage_limit_reached", 0, RESETS["7d"]),
            id="refused-and-spent",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 1)],
            refusal(AT - MINUTE, ends_at=AT + HOUR),
            Verdict(True, "allowed", 99),
            id="a-later-permission-lifts-a-refusal",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 1), gating_window("7d", 100)],
            refusal(AT - MINUTE, ends_at=AT + HOUR),
            Verdict(False, "usage_limit_reached", 0, RESETS["7d"]),
            id="a-permission-with-a-spent-week-lifts-nothing",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 1), gating_window("7d", 100)],
            refusal(AT - MINUTE, ends_at=AT + HOUR, windows=("5h",)),
            Verdict(True, "allowed", 0),
            id="a-permission-with-room-in-the-refused-window",
        ),
        pytest.param(
            account(**PERMIT, credits_has=True, credits_balance="5"),
            [gating_window("7d", 100)],
            refusal(AT - MINUTE, ends_at=AT + HOUR, windows=("7d",)),
            Verdict(True, "overage", 0),
            id="a-permission-with-credits",
        ),
        pytest.param(
            account(**PERMIT, credits_has=True, credits_balance="0"),
            [gating_window("7d", 100)],
            refusal(AT - MINUTE, ends_at=AT + HOUR, windows=("7d",)),
            Verdict(False, "usage_limit_reached", 0, RESETS["7d"]),
            id="credits-that-are-used-up",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 1)],
            refusal(AT - MINUTE, ends_at=AT + HOUR),
            Verdict(False, "usage_limit_reached", 99, AT + HOUR),
            id="an-answer-without-permission-lifts-nothing",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 1)],
            refusal(AT - MINUTE, ends_at=AT + HOUR, windows=("5h",)),
            Verdict(True, "within_limits", 99),
            id="room-in-the-refused-window",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 1)],
            refusal(AT - MINUTE, needs_success=True),
            Verdict(False, "usage_limit_reached", 99),
            id="only-a-success-lifts",
        ),
        pytest.param(
            account(**PERMIT),
            [gating_window("5h", 1)],
            refusal(AT - 6 * HOUR - 1, needs_success=True),
            Verdict(None, "refused_earlier", 99),
            id="unknown-after-six-hours",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 1)],
            refusal(AT - HOUR, ends_at=AT),
            Verdict(True, "within_limits", 99),
            id="a-refusal-that-is-over",
        ),
        pytest.param(
            account(),
            [gating_window("5h", 100), spend(24.7, **EXTRA)],
            refusal(AT - MINUTE, scope="overage", ends_at=AT + HOUR),
            Verdict(False, "window_spent", 0, RESETS["5h"]),
            id="overage-that-is-refused",
        ),
    ],
)
def test_a_refusal_stands_until_it_is_lifted(
    state: Account, windows: list[Window], refused: Refusal, expected: Verdict
) -> None:
    assert account_verdict(state, windows, now=AT, refusals=[refused]) == expected


@pytest.mark.parametrize(
    ("after", "state", "expected"),
    [
        pytest.param(
            -1,
            account(**BLOCK),
            Verdict(False, "limit_reached", 0, RESETS["5h"]),
            id="before-the-reset",
        ),
        pytest.param(MINUTE, account(**BLOCK), Verdict(False, "limit_reached", 60), id="in-grace"),
        pytest.param(
            2 * MINUTE, account(**BLOCK), Verdict(None, "stale", 60), id="old-flags-lapse"
        ),
        pytest.param(
            2 * MINUTE,
            account(**BLOCK, observed_at=AT + 90 * MINUTE),
            Verdict(None, "rolled_over", 60),
            id="explained-flags-lapse",
        ),
        pytest.param(MINUTE, account(), Verdict(False, "window_spent", 60), id="grace-of-a-window"),
        pytest.param(
            2 * MINUTE, account(), Verdict(None, "stale", 60), id="the-other-window-is-too-old"
        ),
    ],
)
def test_a_block_ends_two_minutes_after_its_reset(
    after: int, state: Account, expected: Verdict
) -> None:
    windows = [gating_window("5h", 100), gating_window("7d", 40)]
    assert account_verdict(state, windows, now=RESETS["5h"] + after) == expected


def test_a_window_that_rolled_over_leaves_the_others_to_decide() -> None:
    windows = [gating_window("5h", 100, resets_at=AT - 3 * MINUTE), gating_window("7d", 40)]
    assert account_verdict(account(), windows, now=AT) == Verdict(True, "within_limits", 60)


def test_the_verdict_on_rolled_over_windows_is_unknown_even_if_allowed() -> None:
    windows = [gating_window("5h", 10, resets_at=AT), gating_window("7d", 40, resets_at=AT - HOUR)]
    assert account_verdict(account(**PERMIT), windows, now=AT) == Verdict(None, "rolled_over")


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(HOUR, Verdict(True, "allowed", 90), id="recent"),
        pytest.param(HOUR + 1, Verdict(None, "stale", 90), id="old"),
    ],
)
def test_an_old_observation_is_not_a_yes(age: int, expected: Verdict) -> None:
    assert account_verdict(account(**PERMIT), [gating_window("7d", 10)], now=AT + age) == expected


def test_a_spent_window_stays_a_no_however_old() -> None:
    now = RESETS["7d"] - 1
    assert account_verdict(account(), [gating_window("7d", 100)], now=now) == Verdict(
        False, "window_spent", 0, RESETS["7d"]
    )


def test_one_old_window_among_recent_ones_is_not_a_yes() -> None:
    windows = [gating_window("5h", 10), gating_window("7d", 10, observed_at=AT - 2 * HOUR)]
    assert account_verdict(account(), windows, now=AT).reason == "stale"


def group(name: str, key: str, used: float | None) -> Window:
    """Return a window of a group of models."""
    return gating_window(key, used, scope="group", scope_key=name)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(20, Verdict(True, "within_limits", 80), id="the-best-group-counts"),
        pytest.param(None, Verdict(None, "percent_unknown"), id="unknown-before-blocked"),
        pytest.param(100, Verdict(False, "window_spent", 0, RESETS["5h"]), id="soonest-return"),
    ],
)
def test_an_account_with_groups_is_as_good_as_the_best(
    other: float | None, expected: Verdict
) -> None:
    windows = [group("3p", "7d", 100), group("gemini", "5h", other)]
    assert account_verdict(account(), windows, now=AT) == expected
    assert group_verdicts(account(), windows, now=AT) == {
        "3p": Verdict(False, "window_spent", 0, RESETS["7d"]),
        "gemini": expected,
    }


def test_accounts_are_listed_usable_first_and_closed_last() -> None:
    cases = {
        "most-left": (Verdict(True, "allowed", 90), "ok"),
        "less-left": (Verdict(True, "allowed", 10), "ok"),
        "back-soon": (Verdict(False, "window_spent", 0, AT + 1), "ok"),
        "back-later": (Verdict(False, "window_spent", 0, AT + 2), "ok"),
        "back-sometime": (Verdict(False, "not_allowed"), "ok"),
        "unknown": (Verdict(None, "stale", 99), "ok"),
        "expired": (Verdict(True, "allowed", 99), "token_expired"),
        "dead": (Verdict(False, "deactivated", 99), "deactivated"),
        "off": (Verdict(False, "disabled", 99), "ok"),
    }
    assert sorted(reversed(cases), key=lambda name: sort_key(*cases[name]))[:5] == list(cases)[:5]
    assert len({sort_key(*cases[name]) for name in list(cases)[5:]}) == 1


@pytest.mark.parametrize(
    ("used", "resets_at", "expected"),
    [
        pytest.param(40, AT + HOUR, 60, id="fields"),
        pytest.param(103.4, AT + HOUR, 0, id="above-100"),
        pytest.param(None, AT + HOUR, None, id="unknown"),
        pytest.param(40, AT, None, id="rolled-over"),
        pytest.param(40, None, 60, id="no-reset"),
    ],
)
def test_the_remaining_percentage_is_between_0_and_100(
    used: float | None, resets_at: int | None, expected: float | None
) -> None:
    assert left(gating_window("5h", used, resets_at=resets_at), AT) == expected


def test_the_window_lost_soonest_has_most_left_per_hour() -> None:
    assert left_per_hour(gating_window("5h", 40), AT) == 30
    assert left_per_hour(gating_window("5h", 40, resets_at=None), AT) is None
    assert left_per_hour(gating_window("5h", 40), RESETS["5h"]) is None
