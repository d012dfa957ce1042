"""Queries while events arrive; memory and log meanwhile; and a collector that was away."""

import time
from pathlib import Path

from bench.asks import everything
from bench.bars import counting
from bench.figures import Figure, Part, Section, at_most, joined, none_lost, number
from bench.intake import per_second
from bench.live import Live, live
from bench.plan import Plan
from bench.served import Times, timed
from bench.watch import Watch

MEMORY_BAR = 260
GAPS = "select count(*), sum(retention_exceeded) from gaps where ended_at is not null"
COLUMNS = ["request", "p50 ms", "p95 ms", "p99 ms", "bar ms"]
# What comes between two polls is always on its way.
BEHIND_SECONDS = 2.0
PATIENCE_SECONDS = 600.0


def measure(home: Path, plan: Plan) -> tuple[list[Times], Part]:
    """Ask everything while events arrive, then stop the collector for a while."""
    with live(home, plan.rate) as running:
        with Watch(running.place.folder, running.pids) as watch:
            times = timed(running.client, everything(), samples=plan.samples)
            watch.weigh()
        caught_up = catch_up(running, plan)
        lost = none_lost("Events lost under all that", running.lost())
    title = f"Queries while {plan.rate} events/s arrive"
    asked = Part(by_group(times), [table(title, times, plan)])
    return times, joined([asked, memory(watch), caught_up, Part([lost], [])])


def answers(home: Path, plan: Plan) -> list[Times]:
    """Ask everything of a ledger of another size, less often."""
    with live(home, plan.rate) as running:
        return timed(running.client, everything(), samples=max(plan.samples // 4, 2))


def by_group(times: list[Times]) -> list[Figure]:
    """Judge each group of requests by the slowest one's p99."""
    slowest: dict[str, Times] = {}
    for one in sorted(times, key=lambda one: one.p(99)):
        slowest[one.ask.group.name] = one
    return [
        at_most(f"p99 of {name} ({one.ask.title})", one.p(99), one.ask.group.bar, "ms")
        for name, one in slowest.items()
    ]


def table(title: str, times: list[Times], plan: Plan) -> Section:
    """Give the table of all requests."""
    rows = [
        [one.ask.title, *(number(one.p(at)) for at in (50, 95, 99)), number(one.ask.group.bar)]
        for one in times
    ]
    sentences = [
        f"Each {plan.samples} times in turn, by one client over HTTP, as JSON with every row, from "
        "the real server, while the real collector stores what the stand-in proxy sends. Names in "
        "filters change with each request; the server keeps no answer.",
    ]
    if refused := [f"{one.ask.title} ({one.refused})" for one in times if one.refused]:
        sentences.append(f"Refused, and not answered: {', '.join(refused)}.")
    return Section(title, sentences, COLUMNS, rows)


def memory(watch: Watch) -> Part:
    """Give the memory of each process and the size of the log, both at their greatest."""
    total = sum(watch.memory.values()) / 1e6
    rows = [[name, number(held / 1e6)] for name, held in watch.memory.items()]
    sentences = [
        "Proportional set size: pages that several processes share count by share. Most of it is "
        "Python itself and the packages that each process has loaded; SQLite's page caches are "
        "2 MB a connection, and what it reads otherwise lies in the system's cache.",
    ]
    return Part(
        [
            at_most("Resident memory, all processes", total, MEMORY_BAR, "MB"),
            Figure("Write-ahead log, greatest size", f"{number(watch.wal_bytes / 1e6)} MB"),
        ],
        [Section("Memory", sentences, ["process", "MB"], rows)],
    )


def catch_up(running: Live, plan: Plan) -> Part:
    """Stop the collector, let events pile up, start it, and see when it is up to date."""
    before = running.intake.ask(GAPS)[0]
    running.stop_collector()
    rest(plan.pause)
    waiting, begun = running.proxy.count().queued, time.monotonic()
    running.start_collector()
    seen = running.intake.follow(
        lambda stored: running.proxy.count().pushed - stored < plan.rate * BEHIND_SECONDS,
        within=PATIENCE_SECONDS,
    )
    gaps, exceeded = running.intake.ask(GAPS)
    took, told = seen[-1].at - begun, gaps - before == 1 and not exceeded
    return Part(
        [
            Figure(
                f"Catch-up after {plan.pause} s without collector, {waiting:,} events waiting",
                f"{number(took)} s from its start, {number(per_second(seen))} events/s",
            ),
            Figure("The gap is on record, nothing dropped", "yes" if told else "no", "yes", told),
        ],
        [],
    )


def rest(seconds: int) -> None:
    """Wait."""
    with counting("seconds without collector", seconds) as bar:
        for _ in range(seconds):
            time.sleep(1)
            bar.update()
