"""The figures as a page, and as a table at the terminal."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tabulate import tabulate

from bench.figures import Figure, Part, Section

HEAD = """# Performance

Measured by `make bench`, which writes this page: the reference workload is built through the
collector's own parse and store code, then the real processes are measured over real sockets, all
on one machine, with the stand-in proxy and the client that asks. The bars are for 3,200,000 events
and 500 of them a second on 2 cores.
"""
COLUMNS = ["figure", "bar", "measured", "met"]
WORDS = {True: "yes", False: "**no**", None: ""}


def write(file: Path, part: Part, told: dict[str, str]) -> None:
    """Write the page; `told` is what was measured on what."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines(part, told)) + "\n", "utf-8")


def lines(part: Part, told: dict[str, str]) -> Iterator[str]:
    """Give the page's lines."""
    yield HEAD
    yield from table(["", ""], told.items())
    yield "\n## Figures\n"
    rows = [(one.name, one.bar, one.measured, WORDS[one.met]) for one in part.figures]
    yield from table(COLUMNS, rows)
    for section in part.sections:
        yield from section_lines(section)


def section_lines(section: Section) -> Iterator[str]:
    """Give the lines of one section."""
    yield f"\n## {section.title}\n"
    for sentence in section.sentences:
        yield f"{sentence}\n"
    yield from table(section.columns, section.rows)


def table(columns: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Give a Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def show(figures: list[Figure]) -> None:
    """Print the table of figures."""
    rows = [(one.name, one.bar, one.measured, WORDS[one.met].strip("*")) for one in figures]
    print(tabulate(rows, COLUMNS))
