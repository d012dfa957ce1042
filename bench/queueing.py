"""How fast events come from the proxy's socket into the ledger, spool included."""

from pathlib import Path

from bench.dataset import copied
from bench.figures import Part, Section, at_least, none_lost, number
from bench.intake import Intake, intake, per_second
from bench.plan import Plan
from bench.processes import Place, end, free_port, running
from bench.upstream import Upstream, upstream
from bench.workload import Kind

BAR = 8_000
KINDS: tuple[Kind, ...] = ("thin", "fat")


def measure(home: Path, plan: Plan) -> Part:
    """Empty a full queue of thin events, then one of fat ones, into the full ledger."""
    with upstream() as proxy, copied(home, proxy=proxy.name) as folder, intake(folder) as watched:
        place = Place(folder, proxy.port, free_port())
        rates = {kind: emptied(proxy, place, watched, (kind, plan.queued)) for kind in KINDS}
        pushed = proxy.count().pushed
        lost = pushed - watched.stored()
    slowest = min(rates.values())
    rows = [[kind, number(rate)] for kind, rate in rates.items()]
    sentences = [
        f"`python -m ingest` empties a queue of {plan.queued:,} events of each kind that the "
        "stand-in proxy, in a process of its own, held before: pop, spool, parse, store, commit. "
        "Timed from its first commit to its last.",
        "Beyond the store path there are the pop, the spool and the stand-in, which all share the "
        "machine; a fat event has four times the bytes of a thin one to pop, spool, hash and "
        "decode, and quota headers to look through.",
    ]
    return Part(
        [
            at_least("From the socket to the commit, with spool", slowest, BAR, "events/s"),
            none_lost(f"Events lost of {pushed:,}", lost),
        ],
        [Section("Socket to commit", sentences, ["payload", "events/s"], rows)],
    )


def emptied(proxy: Upstream, place: Place, watched: Intake, what: tuple[Kind, int]) -> float:
    """Fill the queue, let the collector empty it; gives events a second."""
    target = proxy.fill(*what).pushed
    with running("ingest", place) as collector:
        seen = watched.follow(lambda stored: stored >= target, collector)
        end(collector)
    return per_second(seen)
