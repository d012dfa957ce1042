"""Put what is due into one message."""

from collections.abc import Sequence

from alerts.model import SEVERITIES, Letter, Part

MOST_LINES = 10
NAME = "cliproxy-ledger"


def compose(receiver: int, url: str, parts: Sequence[Part]) -> Letter:
    """Write one message about everything that a receiver is to be told now."""
    ordered = sorted(parts, key=rank)
    lines = [line(part) for part in ordered[:MOST_LINES]]
    left = len(ordered) - len(lines)
    if len(lines) > 1:
        lines = [f"- {text}" for text in lines]
    if left:
        lines.append(f"and {left} more: see alert_history on the dashboard.")
    news = [part.severity for part in parts if "begin" in part.parts]
    severity = min(news, key=SEVERITIES.index, default="over")
    return Letter(receiver, url, title(ordered), "\n".join(lines), severity)


def rank(part: Part) -> tuple[bool, int, int]:
    """Order what is new before what is over, and what is severe before what is not."""
    return "begin" not in part.parts, SEVERITIES.index(part.severity), part.alert_id


def title(parts: Sequence[Part]) -> str:
    """Say how many alerts there are, or that some are over."""
    count = sum("begin" in part.parts for part in parts)
    if not count:
        return f"{NAME}: over"
    return f"{NAME}: {'alert' if count == 1 else f'{count} alerts'}"


def line(part: Part) -> str:
    """Say one alert in a line."""
    if "begin" not in part.parts:
        return f"Over since {part.ended_local}. It was: {part.sentence}"
    return (
        f"{part.sentence} (Over since {part.ended_local}.)" if part.ended_local else part.sentence
    )
