"""`python -m bench`: build the reference workload, measure everything, print and write it."""

import os
import signal
import sys
import time
from dataclasses import asdict

from bench import importing, queries, report, rollups, serving, storing
from bench.ledgers import ledgers
from bench.plan import Options, options
from bench.report import Part


def main() -> None:
    """Run the benchmark."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The benchmark was ended."))
    run, started_at, conditions = options(), time.monotonic(), report.machine()
    others_before = report.other_cpu_seconds()
    part = measure(run)
    parameters = (f"{name} {value:,}" for name, value in asdict(run.plan).items())
    seconds = time.monotonic() - started_at
    others = (report.other_cpu_seconds() - others_before) / seconds
    conditions |= {
        "parameters": ", ".join(parameters),
        "duration": f"{seconds / 60:.1f} minutes",
        "used by other programs": f"{others:.2f} cores on average",
    }
    report.print_figures(part.figures)
    report.write_page(run.page, part, conditions)
    print(f"Written to {os.path.relpath(run.page)}")


def measure(run: Options) -> Part:
    """Build the ledgers and measure everything."""
    plan = run.plan
    with ledgers(run.folder, plan.sizes, keep=run.keep) as homes:
        home = homes[plan.events]
        parts = [
            storing.measure_store_path(home, plan),
            storing.measure_queue(home, plan),
            importing.measure(home, plan),
            storing.measure_disk(home, plan),
            rollups.measure(home),
        ]
        times, served = serving.measure(home, plan)
        by_size = {
            size: queries.time_other_size(homes[size], plan)
            for size in homes
            if size != plan.events
        }
        parts += [served, queries.compare_sizes({**by_size, plan.events: times})]
        parts.append(queries.measure_edges(home, plan))
    return report.joined(parts)


if __name__ == "__main__":
    main()
