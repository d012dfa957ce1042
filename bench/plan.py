"""The parameters of a run, and the command line that sets them."""

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ledger.settings import ROOT

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "bench-data"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of a run; `HELP` explains each."""

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
        """The sizes (events) of the ledgers whose answers are compared."""
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
HELP = {
    "events": "events of the reference workload, over 90 days",
    "rate": "events a second that arrive during the queries",
    "samples": "how often each query is run",
    "stored": "events for the measurement of the store path",
    "queued": "events of each kind that wait in the queue",
    "imported": "rows of another program's database that is imported",
    "scrapes": "how often /metrics is scraped",
    "lines": "how often the status line is printed",
    "pause": "seconds for which the collector is stopped",
    "burst": "events of a quarter hour at a window's edge",
    "grow": "size of an additional, larger ledger for the comparison of sizes; 0 for none",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The plan and the other options of the command line."""

    plan: Plan
    quick: bool
    keep: bool
    folder: Path
    page: Path


def options(arguments: list[str] | None = None) -> Options:
    """Parse the command line."""
    parsed = _parser().parse_args(arguments)
    plan = QUICK if parsed.quick else Plan()
    changed = {name: value for name in HELP if (value := getattr(parsed, name)) is not None}
    page = parsed.page or (parsed.folder / "performance.md" if parsed.quick else PAGE)
    return Options(
        plan=replace(plan, **changed),
        quick=parsed.quick,
        keep=parsed.keep,
        folder=parsed.folder.absolute(),
        page=page,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller run of under 2 minutes")
    parser.add_argument(
        "--keep", action="store_true", help="use the ledgers of the last run again, and keep them"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder for the ledgers")
    parser.add_argument("--page", type=Path, help="file for the results")
    for field in fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, help=HELP[field.name])
    return parser
