"""The results of a run: figures with their limits, the tables behind them, and the machine."""

import math
import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Never

import psutil
from tabulate import tabulate
from tqdm import tqdm

PACKAGES = ("datasette", "genai-prices", "msgspec", "redis")
HEAD = """# Performance

`make bench` measures these figures and writes this page. It builds the reference workload through
the collector's own parse and store code, then measures the real processes over real sockets. All
run on one machine, including the fake proxy and the HTTP client. The limits are for 3,200,000
events and 500 events a second on 2 cores.
"""
COLUMNS = ["figure", "limit", "measured", "met"]
MET = {True: "yes", False: "**no**", None: ""}


class Figure(NamedTuple):
    """One measured number and its limit, as text; `met` is None without a limit."""

    name: str
    measured: str
    limit: str = ""
    met: bool | None = None


class Section(NamedTuple):
    """The table behind some figures, and sentences that explain it."""

    title: str
    sentences: list[str]
    columns: list[str]
    rows: list[list[str]]


class Part(NamedTuple):
    """The results of one measurement."""

    figures: list[Figure]
    sections: list[Section]


def at_least(name: str, value: float, limit: float, unit: str) -> Figure:
    """Return a figure that should not be below its limit."""
    return Figure(name, f"{number(value)} {unit}", f"≥ {number(limit)} {unit}", value >= limit)


def at_most(name: str, value: float, limit: float | None, unit: str) -> Figure:
    """Return a figure that should not be above its limit, if it has one."""
    if limit is None:
        return Figure(name, f"{number(value)} {unit}")
    return Figure(name, f"{number(value)} {unit}", f"≤ {number(limit)} {unit}", value <= limit)


def must_hold(name: str, holds: bool) -> Figure:
    """Return a figure that is yes or no and should be yes."""
    return Figure(name, "yes" if holds else "no", "yes", holds)


def none_lost(name: str, lost: int) -> Figure:
    """Return the figure of lost events, which should be 0."""
    return Figure(name, number(lost), "0", lost == 0)


def number(value: float) -> str:
    """Return a number with thousands separators and about three digits."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(math.ceil(len(ranked) * percent / 100), 1) - 1]


def joined(parts: Sequence[Part]) -> Part:
    """Return several parts as one."""
    return Part(
        [figure for part in parts for figure in part.figures],
        [section for part in parts for section in part.sections],
    )


def progress(label: str, total: int) -> "tqdm[Never]":
    """Return a progress bar that counts to `total`."""
    return tqdm(desc=f"{label:<26}", total=total, unit="", unit_scale=True)


def machine() -> dict[str, str]:
    """Return the machine, versions and date."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {packages}",
        "load before the start": f"{os.getloadavg()[0]:.1f} processes",
    }


def other_cpu_seconds() -> float:
    """Return the processor seconds that other programs have used since the machine's start."""
    times, own = psutil.cpu_times(), os.times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # User time includes the time of guests.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle - guests - sum(own[:4])


def processor() -> str:
    """Return the processor's name where the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or "unknown processor"])[0]


def write_page(file: Path, part: Part, conditions: Mapping[str, str]) -> None:
    """Write the page; `conditions` are machine, parameters and duration."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(page_lines(part, conditions)) + "\n", "utf-8")


def page_lines(part: Part, conditions: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    yield from markdown_table(["", ""], conditions.items())
    yield "\n## Figures\n"
    rows = [(one.name, one.limit, one.measured, MET[one.met]) for one in part.figures]
    yield from markdown_table(COLUMNS, rows)
    for section in part.sections:
        yield f"\n## {section.title}\n"
        for sentence in section.sentences:
            yield f"{sentence}\n"
        yield from markdown_table(section.columns, section.rows)


def markdown_table(columns: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def print_figures(figures: list[Figure]) -> None:
    """Print the table of figures."""
    rows = [(one.name, one.limit, one.measured, MET[one.met].strip("*")) for one in figures]
    print(tabulate(rows, COLUMNS))
