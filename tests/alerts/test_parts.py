"""The pure parts of the alerts worker: changes, quiet hours, the text of a message."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from alerts.conditions import Condition
from alerts.delivery import DueAlert, compose, quiet_until
from alerts.episodes import CLEAR_MS, Changes, Episode, compare
from alerts.sender import Message

AT = 1_795_604_400_000
NOTHING = Changes([], [], [], [], [])


def condition(subject: str = "a", sentence: str = "It holds.") -> Condition:
    """Return a condition."""
    return Condition("rule", subject, "warning", sentence, 1, 2, tells_over=False)


def episode(subject: str = "a", *, clear_since: int | None = None, sent: bool = True) -> Episode:
    """Return an open episode."""
    return Episode(7, "rule", subject, "It holds.", False, clear_since, sent)


@pytest.mark.parametrize(
    ("conditions", "episodes", "expected"),
    [
        pytest.param([], [], NOTHING, id="nothing"),
        pytest.param([condition()], [], NOTHING._replace(begun=[condition()]), id="begun"),
        pytest.param([condition()], [episode()], NOTHING, id="still"),
        pytest.param(
            [condition(sentence="Worse.")], [episode()], NOTHING, id="a-sent-sentence-stays"
        ),
        pytest.param(
            [condition(sentence="Worse.")],
            [episode(sent=False)],
            NOTHING._replace(reworded=[(7, condition(sentence="Worse."))]),
            id="an-unsent-sentence-is-reworded",
        ),
        pytest.param([], [episode()], NOTHING._replace(cleared=[7]), id="away"),
        pytest.param([], [episode(clear_since=AT - CLEAR_MS + 1)], NOTHING, id="away-for-a-moment"),
        pytest.param(
            [condition()],
            [episode(clear_since=AT - CLEAR_MS)],
            NOTHING._replace(returned=[7]),
            id="back-at-the-last-moment",
        ),
        pytest.param(
            [],
            [episode(clear_since=AT - CLEAR_MS)],
            NOTHING._replace(ended=[episode(clear_since=AT - CLEAR_MS)]),
            id="over",
        ),
        pytest.param(
            [condition("b")],
            [episode("a")],
            NOTHING._replace(begun=[condition("b")], cleared=[7]),
            id="another-subject-is-another-episode",
        ),
    ],
)
def test_changes(conditions, episodes, expected):
    assert compare(conditions, episodes, AT) == expected


NIGHT = "23:00-07:00"


@pytest.mark.parametrize(
    ("span", "zone", "now", "ends"),
    [
        pytest.param("", "Europe/Berlin", "2026-11-25 03:00", None, id="none"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-25 22:59", None, id="before"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-25 23:00", "2026-11-26 07:00", id="evening"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-26 06:59", "2026-11-26 07:00", id="morning"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-26 07:00", None, id="over"),
        pytest.param("12:00-13:30", "UTC", "2026-11-26 13:29", "2026-11-26 13:30", id="noon"),
        pytest.param("12:00-13:30", "UTC", "2026-11-26 11:59", None, id="before-noon"),
        pytest.param(NIGHT, "Asia/Kathmandu", "2026-11-26 01:00", "2026-11-26 07:00", id="05:45"),
        # The night of the clock change has an hour less, and in autumn one more.
        pytest.param(NIGHT, "Europe/Berlin", "2026-03-29 01:00", "2026-03-29 07:00", id="spring"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-10-25 01:00", "2026-10-25 07:00", id="autumn"),
    ],
)
def test_quiet_hours_are_local(span, zone, now, ends):
    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)

    assert quiet_until(span, zone, at(now)) == (ends and at(ends))


def due(number: int, *, severity: str = "warning", over: str = "", begun: bool = True) -> DueAlert:
    """Return an alert that is due."""
    parts = (*(["begin"] if begun else []), *(["over"] if over else []))
    return DueAlert(number, parts, severity, f"Alert {number}.", over or None)


OVER = "2026-11-25 14:20:00"


@pytest.mark.parametrize(
    ("parts", "title", "body", "kind"),
    [
        pytest.param([due(1)], "alert", "Alert 1.", "warning", id="one"),
        pytest.param(
            [due(1, severity="notice"), due(2), due(3, severity="severe")],
            "3 alerts",
            "- Alert 3.\n- Alert 2.\n- Alert 1.",
            "severe",
            id="the-worst-first",
        ),
        pytest.param(
            [due(1, over=OVER)],
            "alert",
            f"Alert 1. (Over since {OVER}.)",
            "warning",
            id="both-at-once",
        ),
        pytest.param(
            [due(1, over=OVER, begun=False)],
            "over",
            f"Over since {OVER}. It was: Alert 1.",
            "over",
            id="over",
        ),
        pytest.param(
            [due(1, over=OVER, begun=False, severity="severe"), due(2)],
            "alert",
            f"- Alert 2.\n- Over since {OVER}. It was: Alert 1.",
            "warning",
            id="one-of-each",
        ),
        pytest.param(
            [due(n) for n in range(22)],
            "22 alerts",
            "\n".join(f"- Alert {n}." for n in range(10))
            + "\nand 12 more: see alert_history on the dashboard.",
            "warning",
            id="many",
        ),
    ],
)
def test_a_message_says_everything_that_is_due(parts, title, body, kind):
    expected = Message(1, "json://host", f"cliproxy-ledger: {title}", body, kind)
    assert compose(1, "json://host", parts, "en") == expected


def test_a_message_does_not_show_its_address():
    message = compose(1, "json://planted-token@host", [due(1)], "en")
    assert repr(message) == "Message(receiver=1)"
