"""The same queries on ledgers of several sizes."""

from bench.figures import Part, Section, at_most, number
from bench.served import Times

BAR = 2.0
BySize = dict[int, list[Times]]


def compare(by_size: BySize) -> Part:
    """Set the medians side by side; the figure is the request that grew most."""
    sizes = sorted(by_size)
    medians = {
        one.ask.title: [same.p(50) for size in sizes for same in by_size[size] if alike(one, same)]
        for one in by_size[sizes[0]]
    }
    grown = {title: each[-1] / each[0] for title, each in medians.items()}
    most = max(grown, key=lambda title: grown[title])
    rows = [[title, *map(number, each), f"{grown[title]:.2f}"] for title, each in medians.items()]
    sentences = [
        "p50 through HTTP with the same traffic on each. What a query reads are rollup rows; they "
        "grow with accounts, models, clients and hours, and no longer with events once each "
        "bucket has all of its accounts or models.",
    ]
    columns = ["request", *(f"{size:,} events, ms" for size in sizes), "ratio"]
    name = f"p50 from {sizes[0]:,} to {sizes[-1]:,} events, most grown ({most})"
    return Part(
        [at_most(name, grown[most], BAR, "×")], [Section("Growth", sentences, columns, rows)]
    )


def alike(one: Times, other: Times) -> bool:
    """Tell whether two timings are of the same request."""
    return one.ask.title == other.ask.title
