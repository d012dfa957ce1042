"""A collector that was away: how fast it catches up, and what the ledger says of it."""

import time

from bench.bars import counting
from bench.figures import Figure, Part
from bench.figures import number as shown
from bench.intake import per_second
from bench.live import Live
from bench.plan import Plan

GAPS = "select count(*), coalesce(sum(retention_exceeded), 0) from gaps where ended_at is not null"
# What comes between two polls is always on its way.
BEHIND_SECONDS = 2.0
PATIENCE_SECONDS = 10.0


def measure(running: Live, plan: Plan) -> Part:
    """Stop the collector, let events pile up, start it, and see when it is up to date."""
    before = running.intake.ask(GAPS)
    running.stop_collector()
    rest(plan.pause)
    waiting, begun = running.proxy.count().queued, time.monotonic()
    running.start_collector()
    seen = running.follow(
        lambda stored: running.proxy.count().pushed - stored < plan.rate * BEHIND_SECONDS
    )
    caught_up = Figure(
        f"Catch-up after {plan.pause} s without collector, {waiting:,} events waiting",
        f"{shown(seen[-1].at - begun)} s from its start, {shown(per_second(seen))} events/s",
    )
    told = is_told(running, before)
    gap = Figure("The gap is on record, nothing dropped", "yes" if told else "no", "yes", told)
    return Part([caught_up, gap], [])


def rest(seconds: int) -> None:
    """Wait."""
    with counting("seconds without collector", seconds) as bar:
        for _ in range(seconds):
            time.sleep(1)
            bar.update()


def is_told(running: Live, before: tuple[int, int]) -> bool:
    """Tell whether one more gap comes onto record, in which the queue has dropped nothing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        gaps, exceeded = running.intake.ask(GAPS)
        if gaps > before[0]:
            return (gaps, exceeded) == (before[0] + 1, before[1])
        time.sleep(0.05)
    return False
