"""What the collector has committed, seen from outside, and how fast."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from bench.dataset import read_only

LOOK_SECONDS = 0.01
LONGEST_SECONDS = 30.0
COUNTS = "select sum(received), sum(stored), sum(duplicate + rejected) from ingest_ledger"
# Ids are given in order and nothing is deleted.
EVENTS = "select coalesce(max(id), 0) from usage_events"


class Commit(NamedTuple):
    """How many events were in the ledger at an instant of the monotonic clock."""

    at: float
    stored: int


class Intake:
    """Watches one ledger; counts are of events since this began."""

    def __init__(self, home: Path) -> None:
        self._conn = read_only(home)
        self._before = self._total()

    def stored(self) -> int:
        """Count the new events."""
        return self._total() - self._before

    def follow(self, until: Callable[[int], bool], collector: Popen[bytes]) -> list[Commit]:
        """Note each commit until a count is good; ends the run when the collector is stuck."""
        seen = [Commit(time.monotonic(), self.stored())]
        while not until(seen[-1].stored):
            stored = self.stored()
            if stored > seen[-1].stored:
                seen.append(Commit(time.monotonic(), stored))
            is_stuck = time.monotonic() > seen[-1].at + LONGEST_SECONDS
            if is_stuck or collector.poll() is not None:
                raise SystemExit(f"The collector is stuck at {stored:,} events.")
            time.sleep(LOOK_SECONDS)
        return seen

    def _total(self) -> int:
        return self._conn.execute(EVENTS).fetchone()[0]

    def ask(self, sql: str) -> tuple:
        """Give the first row of an answer."""
        return self._conn.execute(sql).fetchone()

    def close(self) -> None:
        """Close the file."""
        self._conn.close()


@contextmanager
def intake(home: Path) -> Iterator[Intake]:
    """Watch a ledger inside the block."""
    with closing(Intake(home)) as watched:
        yield watched


def per_second(seen: list[Commit]) -> float:
    """Give events a second between the first and the last commit."""
    commits = [commit for commit in seen if commit.stored > seen[0].stored]
    if len(commits) < 2:
        return 0.0
    first, last = commits[0], commits[-1]
    return (last.stored - first.stored) / (last.at - first.at)
