"""The benchmark: its workload, and a tiny run of the whole program."""

import re
import subprocess
import sys

import pytest

from bench import workload
from bench.plan import QUICK, Plan, options
from bench.report import at_least, at_most, percentile
from bench.workload import DAY, Workload, even, history
from ingest.parse import Usage, parse
from ledger.prices.calculator import Attempt, Prices
from tests.support.home import ROOT

SMALL = {
    "events": 3000,
    "rate": 100,
    "samples": 2,
    "stored": 2000,
    "queued": 2000,
    "imported": 1000,
    "scrapes": 2,
    "lines": 2,
    "pause": 2,
    "burst": 500,
}
FIGURES = (
    "Store path alone",
    "From the socket to the commit",
    "Events lost of 4,000",
    "Import of keeper's database",
    "Disk, everything included",
    "Rollups give the same sums as raw events",
    "p99 of canned queries, 30 days",
    "p99 of latency percentiles, 30 days",
    "p99 of latency percentiles by model, 30 days",
    "p99 of served filters, 30 days",
    "p99 of 90 days by account",
    "p99 of a scrape of /metrics",
    "p99 of the status line",
    "Resident memory, all processes",
    "Write-ahead log",
    "Catch-up after 2 s",
    "The gap is recorded, no event is dropped",
    "Events lost during all these measurements",
    "p50 from 300 to 3,000 events",
    "p99 of a burst at the window's edge",
)
MUST_HOLD = re.compile(r"Events lost|same sums|gap is recorded")
NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    words = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "bench", *words, "--folder", folder / "ledgers"]
    done = subprocess.run(
        [*command, "--page", folder / "page.md"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "page.md").read_text("utf-8"), folder


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_ends_with_every_figure_at_the_terminal_and_on_the_page(run, name):
    output, page, _ = run
    assert f"\n{name}" in output
    assert f"\n| {name}" in page


def test_a_run_loses_nothing_and_its_rollups_are_exact(run):
    rows = [line.strip("| ").split(" | ") for line in run[1].splitlines()]
    met = {row[0]: row[-1] for row in rows if MUST_HOLD.search(row[0])}
    assert len(met) == 4
    assert set(met.values()) == {"yes"}


def test_a_tiny_run_leaves_no_ledger(run):
    assert not list(run[2].rglob("*.db"))


def test_the_page_names_no_folder_of_the_machine(run):
    assert not re.search(r"/(?:home|root|tmp|Users|work)\b", run[1])


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("thin", 400, 480), ("fat", 1800, 2000)], ids=["thin", "fat"]
)
def test_payloads_are_as_large_as_they_say_and_are_understood(kind, least, most):
    payloads = Workload(1).payloads(list(even(500, NOW, NOW + 60)), kind)
    assert least < sum(map(len, payloads)) / len(payloads) < most
    usages = [parse(payload) for payload in payloads]
    assert all(isinstance(usage, Usage) for usage in usages)
    assert not any(usage.tokens.unclassified for usage in usages)
    assert len({usage.hash for usage in usages}) == 500


def test_most_models_have_a_price_and_a_few_do_not():
    prices, at = Prices({}), int(NOW * 1000)
    plans = {name: prices.plan(Attempt("codex", name, at)) for name in workload.MODELS}
    unknown = [name for name, plan in plans.items() if plan.rates_at(at) is None]
    assert len(workload.MODELS) == len(set(workload.MODELS)) == 50
    assert 1 <= len(unknown) <= 5


def test_three_eighths_of_the_history_lie_in_the_last_third():
    moments = list(history(8000, NOW))
    assert len(moments) == 8000
    assert sum(at >= NOW - 30 * DAY for at in moments) == pytest.approx(3000, abs=2)
    assert NOW - 90 * DAY - 10 <= min(moments) <= max(moments) <= NOW


def test_the_command_line_changes_the_plan():
    assert options([]).plan == Plan()
    assert options(["--quick"]).plan == QUICK
    assert options(["--quick"]).page != options([]).page
    assert options(["--events", "5", "--grow", "70"]).plan.sizes == [1, 5, 70]


def test_figures_know_whether_they_meet_their_limit():
    assert at_least("a", 5, 6, "x").met is False
    assert at_most("a", 5, 6, "x").met is True
    assert at_most("a", 5, None, "x").met is None
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(range(1, 201), 99) == 198
