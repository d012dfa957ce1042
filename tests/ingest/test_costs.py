"""Costs from the queue to the stored event: cases from the field through the real collector."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from demo.fake_proxy import FakeProxy, serving
from ledger.data_folder import prepare
from ledger.settings import Settings
from tests.support.home import KEY, collector_of
from tests.support.price_cases import DATA, cases, payload

COSTS = [*cases("costs.jsonl"), *cases("neighbours.jsonl")]
EVENTS = {
    "00000001": "d01-codex-fast-request-tier-lost",
    "00000006": "d07-gemini-image-output",
    "0000001b": "d11-success-without-usage",
}
READ = """
  select
    request_id,
    cost_dollars,
    cost_reason,
    service_tier,
    answered_tier
  from recent_requests
"""

Stored = dict[str, tuple[Any, ...]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """Cost, reason and both tiers of every case by its request id, after one collection."""
    folder = tmp_path_factory.mktemp("costs")
    events = [(DATA / f"{name}.jsonl").read_bytes().strip() for name in EVENTS.values()]
    with (
        serving(FakeProxy(key=KEY, retention=3600)) as proxy,
        closing(prepare(folder / "data", timezone="UTC")) as conn,
    ):
        proxy.push([*map(payload, COSTS), *events])
        settings = Settings(
            cliproxy_port=proxy.port,
            management_key=KEY,
            data_dir=str(folder / "data"),
            auth_dir=str(folder / "auth"),
        )
        collector = collector_of(conn, settings)
        while collector.step():
            pass
        collector.close()
        yield {request_id: values for request_id, *values in conn.execute(READ)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["label"]) for case in COSTS])
def test_a_case_from_the_queue_costs(stored, case):
    dollars, reason, *_ = stored[case["label"]]
    assert (round(dollars * 1e6), reason) == (case["expected_microdollars"], None)


def test_d01_codex_costs_what_the_request_asked_for(stored):
    dollars, reason, asked, answered = stored["00000001"]
    assert (dollars, reason, asked, answered) == (2.0, None, "priority", "default")


def test_d07_a_picture_of_gemini_costs_the_price_of_pictures(stored):
    assert stored["00000006"][:2] == [0.285496, None]


def test_d11_a_success_without_usage_has_no_cost(stored):
    assert stored["0000001b"][:2] == [None, "no usage"]
