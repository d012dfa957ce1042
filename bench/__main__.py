"""`python -m bench`: build the reference workload, measure everything, print and write it."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from bench import disk, edges, growth, machine, page, queueing, serving, storing, windows
from bench.asks import everything
from bench.dataset import dataset
from bench.figures import Part, joined
from bench.live import live
from bench.plan import Options, Plan, options
from bench.served import Times, timed


def main() -> None:
    """Run the benchmark."""
    chosen, console, begun = options(), Console(), time.monotonic()
    told = machine.described()
    columns = [*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console) as progress:
        part = measured(chosen, progress)
    told["parameters"] = ", ".join(
        f"{name} {value:,}" for name, value in asdict(chosen.plan).items()
    )
    told["duration"] = f"{(time.monotonic() - begun) / 60:.1f} minutes"
    page.show(console, part.figures)
    page.write(chosen.page, part, told)
    console.print(f"Written to {os.path.relpath(chosen.page)}", soft_wrap=True)


def measured(chosen: Options, progress: Progress) -> Part:
    """Build the ledgers and measure everything."""
    plan = chosen.plan
    with ledgers(chosen, progress) as homes:
        home = homes[plan.events]
        parts = [
            storing.measure(home, plan, progress),
            queueing.measure(home, plan, progress),
            disk.measure(home, plan),
            windows.measure(home, progress),
        ]
        times, served = serving.measure(home, plan, progress)
        others = {
            size: answers(homes[size], plan, progress) for size in plan.sizes if size != plan.events
        }
        parts += [served, growth.compare({**others, plan.events: times})]
        parts.append(edges.measure(home, plan, progress))
    return joined(parts)


@contextmanager
def ledgers(chosen: Options, progress: Progress) -> Iterator[dict[int, Path]]:
    """Build a ledger of each size, gone afterwards unless they are to be kept."""
    sizes = chosen.plan.sizes
    try:
        yield {
            size: dataset(chosen.folder, size, keep=chosen.keep, progress=progress)
            for size in sizes
        }
    finally:
        if not chosen.keep:
            for size in sizes:
                shutil.rmtree(chosen.folder / str(size), ignore_errors=True)


def answers(home: Path, plan: Plan, progress: Progress) -> list[Times]:
    """Ask everything of a ledger of another size."""
    with live(home, plan.rate) as running:
        return timed(
            running.client, everything(), samples=max(plan.samples // 4, 2), progress=progress
        )


if __name__ == "__main__":
    main()
