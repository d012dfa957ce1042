"""Forecasts of fixed histories: a window runs out or lasts, and no forecast has a reason."""

from collections.abc import Iterable
from typing import Any

import pytest

from quota.forecast import Cycle, Forecast, forecast, recent_ms
from quota.history import (
    CycleState,
    Point,
    advance,
    is_early,
    is_worth_storing,
    point_of,
    split_cycles,
)
from quota.model import Window

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
# A reset on a five-minute mark, so that its cycle is the reset itself.
RESET = 1_790_010_000_000
START = RESET - 5 * HOUR
H5, D7 = 18_000, 604_800


def points(*observations: tuple[int, float], resets_at: int | None = RESET) -> list[Point]:
    """Return observations by minutes since the window opened."""
    return [Point(START + minute * MINUTE, used, resets_at) for minute, used in observations]


def cycle(*observations: tuple[int, float], **more: Any) -> Cycle:
    """Return the history of a 5-hour window."""
    return Cycle(points(*observations), **{"window_seconds": H5, "resets_at": RESET, **more})


def at(minute: int) -> int:
    """Return the instant so many minutes after the window opened."""
    return START + minute * MINUTE


STEADY = [(minute, minute / 2) for minute in range(0, 121, 10)]


@pytest.mark.parametrize(
    ("history", "now", "expected"),
    [
        pytest.param(
            cycle(*STEADY), 120, Forecast("runs_out", None, 30, at(200)), id="steady-too-fast"
        ),
        pytest.param(
            cycle(*[(minute, minute / 4) for minute in range(0, 121, 20)]),
            120,
            Forecast("lasts", None, 15, None, 25),
            id="steady-lasts",
        ),
        pytest.param(
            cycle(*reversed(STEADY)), 120, Forecast("runs_out", None, 30, at(200)), id="any-order"
        ),
        pytest.param(
            cycle((0, 0), (30, 40), (60, 40), (90, 40), (120, 40), (120, 40)),
            120,
            Forecast("lasts", None, 20, None, 0),
            id="a-burst-long-ago-counts-over-the-whole-cycle",
        ),
        pytest.param(
            cycle((0, 0), (60, 2), (110, 2), (115, 20), (120, 38)),
            120,
            Forecast("runs_out", None, 36, at(120) + round(62 / 36 * HOUR)),
            id="a-burst-just-now-counts-at-its-own-rate",
        ),
        pytest.param(
            cycle((100, 20)), 100, Forecast("lasts", None, 12, None, 40), id="one-point-averages"
        ),
        pytest.param(
            cycle((110, 20), (115, 20), (120, 21)),
            120,
            Forecast("lasts", None, 10.5, None, 47.5),
            id="one-percent-has-no-direction",
        ),
        pytest.param(
            cycle((60, 0), (90, 1), (120, 1)),
            120,
            Forecast("none", "too_little_data"),
            id="too-little-movement",
        ),
        pytest.param(
            cycle((60, 50), (90, 0), (120, 10), early=True, window_seconds=H5),
            120,
            Forecast("none", "too_little_data"),
            id="falling",
        ),
        pytest.param(
            cycle((90, 0), (120, 12), early=True),
            120,
            Forecast("lasts", None, 24, None, 16),
            id="reset-early-counts-from-its-own-start",
        ),
        pytest.param(
            cycle((90, 10), (120, 20), window_seconds=None),
            120,
            Forecast("lasts", None, 20, None, 20),
            id="a-month-of-unknown-length",
        ),
        pytest.param(
            cycle((100, 99), (110, 99.5), (120, 101)), 120, Forecast("exhausted"), id="exhausted"
        ),
        pytest.param(cycle(*STEADY), 299, Forecast("none", "stale"), id="stale"),
        pytest.param(
            cycle(*STEADY[:-1], (119, 99)),
            170,
            Forecast("runs_out", None, 69 / 59 * 60, at(170)),
            id="overdue-is-now-not-earlier",
        ),
        pytest.param(cycle(*STEADY), 300, Forecast("none", "rolled_over"), id="rolled-over"),
        pytest.param(cycle((3, 3)), 5, Forecast("none", "too_early"), id="first-two-percent"),
        pytest.param(
            cycle((0, 0), started=False), 60, Forecast("none", "not_started"), id="not-started"
        ),
        pytest.param(cycle(), 60, Forecast("none", "unknown"), id="no-points"),
        pytest.param(
            cycle(*STEADY, resets_at=None), 120, Forecast("none", "unknown"), id="no-reset"
        ),
    ],
)
def test_a_history_has_its_forecast(history: Cycle, now: int, expected: Forecast) -> None:
    result = forecast(history, at(now))
    assert (result.outcome, result.reason, result.runs_out_at) == (
        expected.outcome,
        expected.reason,
        expected.runs_out_at,
    )
    assert result.percent_per_hour == pytest.approx(expected.percent_per_hour)
    assert result.left_over_percent == pytest.approx(expected.left_over_percent, abs=1e-9)


def test_a_week_is_forecast_from_its_last_day() -> None:
    week_start = RESET - 7 * DAY
    observations = [(0, 0), (2, 4), (3, 6), (3.5, 16), (4, 26)]
    history = [Point(week_start + round(day * DAY), used, RESET) for day, used in observations]
    result = forecast(Cycle(history, D7, RESET), week_start + 4 * DAY)
    # 20 % in the last day, 74 % left for three days: 60 % go, 14 % stay.
    assert (result.outcome, result.percent_per_hour) == ("lasts", pytest.approx(20 / 24))
    assert result.left_over_percent == pytest.approx(14)


@pytest.mark.parametrize(
    ("seconds", "hours"),
    [
        pytest.param(H5, 1, id="5h"),
        pytest.param(D7, 24, id="7d"),
        pytest.param(2_592_000, 72, id="30d"),
        pytest.param(None, 72, id="month"),
    ],
)
def test_a_longer_window_has_a_longer_recent_time(seconds: int | None, hours: int) -> None:
    assert recent_ms(seconds) == hours * HOUR


def used(history: Iterable[Point]) -> list[tuple[int, list[float]]]:
    """Return each cycle with its percentages."""
    return [
        (number, [each.used_percent for each in members])
        for number, members in split_cycles(history)
    ]


NEXT = RESET + 5 * HOUR


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(points((0, 1), (30, 9), (60, 9)), [(RESET, [1, 9, 9])], id="one-cycle"),
        pytest.param(
            [
                *points((0, 1), resets_at=RESET + 149_000),
                *points((30, 5), resets_at=RESET + 151_000),
                *points((60, 7), resets_at=RESET + 90_000),
            ],
            [(RESET, [1, 5, 7])],
            id="a-jittering-reset-is-one-cycle",
        ),
        pytest.param(
            points((0, 1), (30, 48.5), (31, 48)), [(RESET, [1, 48.5, 48])], id="rounding-is-no-drop"
        ),
        pytest.param(
            [*points((200, 90)), *points((310, 2), (320, 3), resets_at=NEXT)],
            [(RESET, [90]), (NEXT, [2, 3])],
            id="rolled-over-on-schedule",
        ),
        pytest.param(
            [*points((0, 80)), *points((30, 0), (60, 5))],
            [(RESET, [80]), (RESET + 1, [0, 5])],
            id="a-drop-with-the-same-reset",
        ),
        pytest.param(
            [*points((0, 80)), *points((30, 0), (31, 2), resets_at=NEXT)],
            [(RESET, [80]), (NEXT, [0, 2])],
            id="a-drop-with-another-reset",
        ),
        pytest.param(
            [
                *points((0, 80)),
                *points((5, 20), resets_at=NEXT),
                *points((10, 81)),
                *points((15, 20), resets_at=NEXT),
                *points((20, 82)),
            ],
            [(RESET, [80, 81, 82])],
            id="a-swing-between-two-resets-is-one-cycle",
        ),
        pytest.param(
            points((0, 80), (10, 0), (20, 81)), [(RESET, [80, 81])], id="one-odd-answer-is-none"
        ),
        pytest.param(
            [*points((0, 0), (10, 0), resets_at=None), *points((20, 1), (30, 2))],
            [(0, [0, 0]), (RESET, [1, 2])],
            id="not-started-then-started",
        ),
        pytest.param(
            [*points((200, 90)), *points((310, 0), (320, 0), resets_at=None)],
            [(RESET, [90]), (0, [0, 0])],
            id="rolled-over-and-not-started",
        ),
        pytest.param(
            [*points((0, 90)), *points((10, 0), (20, 0), (30, 0), resets_at=None)],
            [(RESET, [90]), (0, [0, 0, 0])],
            id="reset-early-and-not-started",
        ),
        pytest.param(
            points((0, 9), (10, 5), (20, 5), (30, 1), (40, 1)),
            [(RESET, [9]), (RESET + 1, [5, 5]), (RESET + 2, [1, 1])],
            id="two-early-resets",
        ),
        pytest.param(
            points((0, 9), (10, 5), (20, 6), resets_at=None),
            [(0, [9]), (1, [5, 6])],
            id="a-drop-without-any-reset",
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_observations_fall_into_cycles(history: list[Point], expected: Any) -> None:
    assert used(history) == expected


def test_a_change_counts_only_when_seen_twice() -> None:
    first, odd, again = points((0, 80), (5, 0), (10, 1))
    track = advance(advance(CycleState(), first), odd)
    assert track == CycleState(RESET, first, odd)
    assert advance(track, again) == CycleState(RESET + 1, again)


def test_an_early_cycle_differs_from_one_on_schedule() -> None:
    assert [is_early(number) for number in (RESET, RESET + 1, 0, 1)] == [False, True, False, True]


def test_a_window_that_is_not_started_has_no_reset() -> None:
    fields = {"scope": "account", "window_key": "5h", "label": "5-hour", "resets_at": RESET}
    assert point_of(Window(**fields, used_percent=0, started=False, observed_at=1)) == Point(1, 0)
    assert point_of(Window(**fields, used_percent=0, observed_at=1)) == Point(1, 0, RESET)
    assert point_of(Window(**fields, observed_at=1)) is None


@pytest.mark.parametrize(
    ("minutes", "percent", "same_cycle", "stored"),
    [
        pytest.param(5, 10, True, False, id="nothing-new"),
        pytest.param(5, 11, True, True, id="moved"),
        pytest.param(5, 10, False, True, id="next-cycle"),
        pytest.param(30, 10, True, True, id="half-an-hour-later"),
    ],
)
def test_history_stores_changes_and_a_point_every_half_hour(
    minutes: int, percent: float, same_cycle: bool, stored: bool
) -> None:
    last, seen = points((0, 10), (minutes, percent))
    assert is_worth_storing(last, seen, same_cycle=same_cycle) is stored
    assert is_worth_storing(None, seen, same_cycle=True)
