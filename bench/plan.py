"""How much is measured, from the command line."""

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ledger.settings import ROOT

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "bench-data"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of a run. The help of each is in `MEANINGS`."""

    events: int = 3_200_000
    rate: int = 500
    samples: int = 200
    stored: int = 100_000
    queued: int = 100_000
    imported: int = 300_000
    scrapes: int = 120
    lines: int = 30
    pause: int = 60
    burst: int = 450_000
    grow: int = 0

    @property
    def sizes(self) -> list[int]:
        """How many events the ledgers hold whose answers are compared."""
        return sorted({max(self.events // 10, 1), self.events, self.grow or self.events})


QUICK = Plan(
    events=300_000,
    samples=40,
    stored=20_000,
    queued=20_000,
    imported=20_000,
    scrapes=5,
    lines=5,
    pause=10,
    burst=45_000,
)
MEANINGS = {
    "events": "events of the reference workload, over 90 days",
    "rate": "events a second that arrive while queries are asked",
    "samples": "how often each query is asked",
    "stored": "events of the store path's measurement",
    "queued": "events of each kind that wait in the queue",
    "imported": "rows of another program's database that is brought in",
    "scrapes": "how often /metrics is scraped",
    "lines": "how often the status line is asked for",
    "pause": "seconds that the collector is away",
    "burst": "events of a quarter hour at a window's edge",
    "grow": "size of one more, larger ledger for the comparison of sizes; 0 for none",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says besides."""

    plan: Plan
    quick: bool
    keep: bool
    folder: Path
    page: Path


def options(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    given = _parser().parse_args(arguments)
    plan = QUICK if given.quick else Plan()
    named = {name: value for name in MEANINGS if (value := getattr(given, name)) is not None}
    page = given.page or (given.folder / "performance.md" if given.quick else PAGE)
    return Options(
        plan=replace(plan, **named),
        quick=given.quick,
        keep=given.keep,
        folder=given.folder.absolute(),
        page=page,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller run of under 2 minutes")
    parser.add_argument(
        "--keep", action="store_true", help="use the ledgers of the last run again, and leave them"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the ledgers are built")
    parser.add_argument("--page", type=Path, help="where the figures are written")
    for field in fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, help=MEANINGS[field.name])
    return parser
