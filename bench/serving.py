"""Queries while events arrive; memory and log meanwhile; and a collector that was away."""

import time
from pathlib import Path

from bench import absence, glances
from bench.asks import everything
from bench.figures import Figure, Part, Section, at_most, joined, none_lost, number
from bench.live import live
from bench.plan import Plan
from bench.served import Times, timed
from bench.watch import Watch

MEMORY_BAR = 260
WHY = (
    "`select 1` is what any request costs before it asks for anything; the rest is SQL over rollup "
    "rows, and writing rows as JSON."
)
COLUMNS = ["request", "p50 ms", "p95 ms", "p99 ms", "bar ms"]


def measure(home: Path, plan: Plan) -> tuple[list[Times], Part]:
    """Ask everything while events arrive, then stop the collector for a while."""
    with live(home, plan.rate) as running:
        pushed, begun = running.proxy.count().pushed, time.monotonic()
        with Watch(running.place.folder, running.pids) as watch:
            times = timed(running.client, everything(), samples=plan.samples)
            watch.weigh()
        looked = glances.measure(running, plan)
        rate = (running.proxy.count().pushed - pushed) / (time.monotonic() - begun)
        caught_up = absence.measure(running, plan)
        lost = none_lost("Events lost under all that", running.lost())
    title = f"Queries while {rate:.0f} events/s arrive"
    asked = Part(by_group(times), [table(title, times, WHY)])
    return times, joined([asked, looked, memory(watch), caught_up, Part([lost], [])])


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


def table(title: str, times: list[Times], why: str) -> Section:
    """Give the table of all requests, and why they take what they take."""
    rows = [
        [
            one.ask.title,
            *(number(one.p(at)) for at in (50, 95, 99)),
            number(one.ask.group.bar) if one.ask.group.bar else "",
        ]
        for one in times
    ]
    sentences = [
        f"Each {len(times[0].took)} times in turn, a slow one less often, by one client over HTTP, "
        "as JSON with every row, from the real server, while the real collector stores what the "
        "stand-in proxy sends. Names in filters change with each request; the server keeps no "
        "answer.",
        why,
    ]
    if refused := [f"{one.ask.title} ({one.refused})" for one in times if one.refused]:
        sentences.append(f"Refused, and not answered: {', '.join(refused)}.")
    return Section(title, sentences, COLUMNS, rows)


def memory(watch: Watch) -> Part:
    """Give the memory of each process and the size of the log, both at their greatest."""
    total = sum(watch.memory.values()) / 1e6
    rows = [[name, number(held / 1e6)] for name, held in watch.memory.items()]
    sentences = [
        "Proportional set size: pages that several processes share count by share. It is mostly "
        "Python and the packages that each process has loaded, since SQLite keeps only some MB a "
        "connection and leaves the rest of the file to the system's cache.",
        "SQLite starts the write-ahead log over when a checkpoint finds nobody reading; a client "
        "that asks without a pause, as here, leaves few such moments.",
    ]
    return Part(
        [
            at_most("Resident memory, all processes", total, MEMORY_BAR, "MB"),
            Figure("Write-ahead log, greatest size", f"{number(watch.wal_bytes / 1e6)} MB"),
        ],
        [Section("Memory", sentences, ["process", "MB"], rows)],
    )
