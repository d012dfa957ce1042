"""Say what came of an import, in words."""

from collections.abc import Iterator
from datetime import UTC, datetime

from ingest.importers.differences import MOST_KEPT
from ingest.importers.run import Outcome

DIFFERENCES_SHOWN = 5


def lines(outcome: Outcome, *, show_all: bool = False) -> Iterator[str]:
    """Give the report line by line; the first differences of totals, or all."""
    kept, differences = outcome.kept, outcome.differences
    yield f"{kept.stored:>11,}  came in"
    yield f"{kept.duplicate:>11,}  were there already{better(kept.improved)}"
    yield f"{outcome.rejected:>11,}  refused" + (
        ", which only the file has" * bool(outcome.rejected)
    )
    for reason, many in differences.refused.most_common():
        places = ", ".join(differences.places[reason])
        yield f"{many:>19,}  {reason} ({places}{', …' if many > 3 else ''})"
    yield f"Tokens: {differences.told:,} by the file's totals, {differences.here:,} by ours."
    if differences.many:
        plural = "event counts differently" if differences.many == 1 else "events count differently"
        yield f"{differences.many:,} {plural} here:"
    shown = differences.first if show_all else differences.first[:DIFFERENCES_SHOWN]
    for found in shown:
        yield f"  {found.place}: {found.told:,} there, {found.here:,} here: {found.why}"
    if differences.many > len(shown):
        hint = "" if show_all else f"; --differences shows up to {MOST_KEPT:,}"
        yield f"  and {differences.many - len(shown):,} more{hint}"


def better(improved: int) -> str:
    """Say how many events are known better now."""
    return f", of which {improved:,} are known better now" if improved else ""


def days(first_at: int | None, last_at: int | None) -> str:
    """Give the days (UTC) that events are of."""
    if first_at is None or last_at is None:
        return "no events"
    first, last = (datetime.fromtimestamp(at / 1000, UTC).date() for at in (first_at, last_at))
    return f"events of {first}" if first == last else f"events from {first} to {last} (UTC)"
