"""`python -m bench`: build the reference workload, measure everything, print and write it."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import disk, edges, growth, importing, machine, page, queueing, serving, storing, windows
from bench.dataset import dataset
from bench.figures import Part, joined
from bench.plan import Options, options


def main() -> None:
    """Run the benchmark."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The benchmark was ended."))
    chosen, begun, told = options(), time.monotonic(), machine.described()
    before = machine.others()
    part = measured(chosen)
    named = (f"{name} {value:,}" for name, value in asdict(chosen.plan).items())
    told["parameters"] = ", ".join(named)
    took = time.monotonic() - begun
    told["duration"] = f"{took / 60:.1f} minutes"
    told["taken by other programs"] = f"{(machine.others() - before) / took:.2f} cores on average"
    page.show(part.figures)
    page.write(chosen.page, part, told)
    print(f"Written to {os.path.relpath(chosen.page)}")


def measured(chosen: Options) -> Part:
    """Build the ledgers and measure everything."""
    plan = chosen.plan
    with ledgers(chosen) as homes:
        home = homes[plan.events]
        parts = [
            storing.measure(home, plan),
            queueing.measure(home, plan),
            importing.measure(home, plan),
            disk.measure(home, plan),
            windows.measure(home),
        ]
        times, served = serving.measure(home, plan)
        others = {size: serving.answers(homes[size], plan) for size in homes if size != plan.events}
        parts += [served, growth.compare({**others, plan.events: times})]
        parts.append(edges.measure(home, plan))
    return joined(parts)


@contextmanager
def ledgers(chosen: Options) -> Iterator[dict[int, Path]]:
    """Build a ledger of each size, gone afterwards unless they are to be kept."""
    sizes = chosen.plan.sizes
    try:
        yield {size: dataset(chosen.folder, size, keep=chosen.keep) for size in sizes}
    finally:
        if not chosen.keep:
            for size in sizes:
                shutil.rmtree(chosen.folder / str(size), ignore_errors=True)


if __name__ == "__main__":
    main()
