"""What looks at the ledger again and again: Prometheus's scrapes and the status line."""

import subprocess
import sys
import time

from bench.bars import counting
from bench.figures import Part, Section, at_most, number, percentile
from bench.live import Live
from bench.plan import Plan
from ledger.settings import ROOT

SCRAPE_BAR, STATUS_BAR = 50, 200
# Scrapes of the same second share an answer; Prometheus does not come more often.
BETWEEN_SECONDS = 1.05


def measure(running: Live, plan: Plan) -> Part:
    """Scrape `/metrics` and ask for the status line while events arrive."""
    scrapes, lines = scraped(running, plan.scrapes), asked(running, plan.lines)
    sentences = [
        f"`/metrics`, {plan.scrapes} times with {BETWEEN_SECONDS:.2f} s between them, and "
        f"`python -m ledger status`, {plan.lines} times from the start of the process to its end, "
        "while events arrive.",
    ]
    rows = [
        [name, *(number(percentile(took, at)) for at in (50, 95, 99)), number(bar)]
        for name, took, bar in (
            ("/metrics", scrapes, SCRAPE_BAR),
            ("status line", lines, STATUS_BAR),
        )
    ]
    columns = ["what", "p50 ms", "p95 ms", "p99 ms", "bar ms"]
    return Part(
        [
            at_most("p99 of a scrape of /metrics", percentile(scrapes, 99), SCRAPE_BAR, "ms"),
            at_most(
                "p99 of the status line, whole process", percentile(lines, 99), STATUS_BAR, "ms"
            ),
        ],
        [Section("Metrics and status", sentences, columns, rows)],
    )


def scraped(running: Live, many: int) -> list[float]:
    """Give how long each scrape took, in ms."""
    took = []
    with counting("scrapes", many) as bar:
        for _ in range(many):
            spent, status = running.client.get("/metrics")
            if status != 200:
                raise SystemExit(f"/metrics answered {status}.")
            took.append(spent)
            bar.update()
            time.sleep(BETWEEN_SECONDS)
    return took


def asked(running: Live, many: int) -> list[float]:
    """Give how long each status line took, in ms."""
    took = []
    for _ in range(many):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ledger", "status"],
            cwd=ROOT,
            env=running.place.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        took.append((time.perf_counter() - begun) * 1000)
    return took
