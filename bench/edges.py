"""A busy quarter hour where the windows begin: the part that rollups cannot answer alone."""

import time
from pathlib import Path

from bench.asks import edged
from bench.bars import counting
from bench.dataset import copied
from bench.feed import Feed
from bench.figures import Part
from bench.live import live
from bench.plan import Plan
from bench.served import timed
from bench.serving import by_group, table
from bench.workload import DAY, Workload, even

HOUR, QUARTER = 3600, 900
# Until the queries are asked; the windows' starts move on meanwhile.
BUILDING_SECONDS = 120.0
WHY = (
    "Windows start at a whole minute, from 7d on at a whole hour, and buckets as fine are kept for "
    "each account, model and client: there a burst costs more rollup rows, not events read one by "
    "one. Pairs are kept by the hour, so a filter reads the events of the first partial hour."
)


def measure(home: Path, plan: Plan) -> Part:
    """Put a burst around the start of each window, then ask while more events arrive."""
    with copied(home) as folder:
        fill(folder, plan)
        with live(folder, plan.rate) as running:
            times = timed(running.client, edged(), samples=plan.samples)
    title = f"A quarter hour of {plan.burst:,} events around the start of each window"
    return Part(by_group(times), [table(title, times, WHY)])


def fill(folder: Path, plan: Plan) -> None:
    """Store the bursts."""
    middles = starts(time.time() + BUILDING_SECONDS)
    total = plan.burst * len(middles)
    with Feed(folder, hasty=True) as feed, counting("bursts", total) as bar:
        for seed, middle in enumerate(middles, start=100):
            moments = even(plan.burst, middle - QUARTER / 2, middle + QUARTER / 2)
            for stored in feed.keep_all(Workload(seed), moments):
                bar.update(stored)


def starts(now: float) -> list[float]:
    """Give where the windows of 1 hour, 24 hours and 30 days begin."""
    return [now - HOUR, now - DAY, (now - 30 * DAY) // HOUR * HOUR]
