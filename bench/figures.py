"""What a run found, as values: figures with their bars, and tables behind them."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number, as text, and what it should be; `met` is None without a bar."""

    name: str
    measured: str
    bar: str = ""
    met: bool | None = None


class Section(NamedTuple):
    """The table behind some figures, and sentences on what holds them up."""

    title: str
    sentences: list[str]
    columns: list[str]
    rows: list[list[str]]


class Part(NamedTuple):
    """What one measurement gives."""

    figures: list[Figure]
    sections: list[Section]


def at_least(name: str, value: float, bar: float, unit: str) -> Figure:
    """Give a figure that should not be smaller than its bar."""
    return Figure(name, f"{number(value)} {unit}", f"≥ {number(bar)} {unit}", value >= bar)


def at_most(name: str, value: float, bar: float | None, unit: str) -> Figure:
    """Give a figure that should not be larger than its bar, if it has one."""
    if bar is None:
        return Figure(name, f"{number(value)} {unit}")
    return Figure(name, f"{number(value)} {unit}", f"≤ {number(bar)} {unit}", value <= bar)


def none_lost(name: str, lost: int) -> Figure:
    """Give the figure of events that did not arrive."""
    return Figure(name, number(lost), "0", lost == 0)


def number(value: float) -> str:
    """Give a number as people read it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(math.ceil(len(ranked) * percent / 100), 1) - 1]


def joined(parts: Sequence[Part]) -> Part:
    """Give several parts as one."""
    return Part(
        [figure for part in parts for figure in part.figures],
        [section for part in parts for section in part.sections],
    )
