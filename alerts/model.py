"""What the worker compares, remembers and sends."""

from typing import NamedTuple

SEVERITIES = ("severe", "warning", "notice")


class Condition(NamedTuple):
    """Something that is worth a message now; the subject does not change while it lasts."""

    rule: str
    subject: str
    severity: str
    sentence: str
    value: float | None
    threshold: float | None
    tells_over: bool
    own: bool = False


class Episode(NamedTuple):
    """A condition as it is remembered while it is not over; `clear_since` (ms): it is away."""

    id: int
    rule: str
    subject: str
    sentence: str
    own: bool
    clear_since: int | None
    is_told: bool


class Part(NamedTuple):
    """What a receiver is to be told of an episode: `begin`, `over`, or both at once."""

    alert_id: int
    parts: tuple[str, ...]
    severity: str
    sentence: str
    ended_local: str | None


class Letter(NamedTuple):
    """One message for one receiver."""

    receiver: int
    url: str
    title: str
    body: str
    severity: str

    def __repr__(self) -> str:
        """Show what may be shown."""
        return f"Letter(receiver={self.receiver})"


class Round(NamedTuple):
    """Letters, at most one for each receiver, and the process that they are from."""

    starter: int
    letters: list[Letter]


class Result(NamedTuple):
    """What came of a letter: no error means that it was sent."""

    receiver: int
    error: str | None
