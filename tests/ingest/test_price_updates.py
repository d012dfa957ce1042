"""Newer price lists: fetched from a server on this machine, kept, and used without it."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ingest.price_updates import is_due, start, update
from ledger.prices.calculator import Attempt, Prices
from ledger.prices.edition import FILE, fetched_at
from ledger.prices.rates import Counts
from ledger.prices.snapshot import fetch, lists
from ledger.settings import Settings
from runtime.stop import Stop
from tests.support.home import eventually

NOW = 1_795_500_000_000
LIST = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": "https://api\\.openai\\.com",
        "models": [
            {
                "id": "gpt-9",
                "match": {"equals": "gpt-9"},
                "prices": {"input_mtok": 7, "output_mtok": 70},
            }
        ],
    }
]


@contextmanager
def serving(body: bytes, status: int = 200) -> Iterator[str]:
    """Serve one answer to every request and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/data.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def cost_of_gpt_9(prices: Prices) -> int | None:
    """Return the cost of a million tokens of input, in micro-dollars."""
    attempt = Attempt("codex", "gpt-9", NOW)
    counts = Counts(1_000_000, 0, 0, 0, 0)
    return prices.cost(attempt, counts).microdollars


def test_a_fetched_list_is_used_kept_private_and_used_again_without_the_server(tmp_path):
    prices = Prices({}, listed=lists(tmp_path))
    assert cost_of_gpt_9(prices) is None
    with serving(json.dumps(LIST).encode()) as url:
        assert update(prices, tmp_path, url)
    assert cost_of_gpt_9(prices) == 7_000_000
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    later = Prices({}, listed=lists(tmp_path))
    assert cost_of_gpt_9(later) == 7_000_000
    rates = later.plan(Attempt("codex", "gpt-9", NOW)).rates_at(NOW)
    assert rates.version == f"fetched {fetched_at(tmp_path)[:10]}"


BAD = [
    pytest.param(b"<html>", 200, id="not-json"),
    pytest.param(b"{}", 200, id="no-list"),
    pytest.param(b'[{"id": 1}]', 200, id="another-form"),
    pytest.param(b"[]", 503, id="unavailable"),
]


@pytest.mark.parametrize(("body", "status"), BAD)
def test_a_bad_answer_leaves_the_list_as_it_is(tmp_path, body, status, caplog):
    prices = Prices({})
    with serving(body, status) as url:
        assert not update(prices, tmp_path, url)
    assert not (tmp_path / FILE).exists()
    assert "no newer prices" in caplog.text


def test_a_list_is_fetched_again_after_a_day(tmp_path):
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert is_due(tmp_path, now)
    with serving(json.dumps(LIST).encode()) as url:
        fetch(tmp_path, url=url, now=now)
    assert not is_due(tmp_path, now + timedelta(hours=23))
    assert is_due(tmp_path, now + timedelta(hours=24))


def test_a_damaged_file_counts_as_absent(tmp_path):
    (tmp_path / FILE).write_text("{")
    assert lists(tmp_path) == lists()
    assert fetched_at(tmp_path) is None


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_collector_fetches_only_where_it_is_switched_on(tmp_path, switch):
    prices = Prices({})
    with closing(Stop()) as stop, serving(json.dumps(LIST).encode()) as url:
        settings = Settings(price_updates=switch, price_updates_url=url, data_dir=str(tmp_path))
        thread = start(prices, settings, stop)
        assert (thread is not None) == (switch == "on")
        if thread:
            eventually(lambda: cost_of_gpt_9(prices))
            stop.set()
            thread.join()
    assert (tmp_path / FILE).exists() == (switch == "on")
    assert cost_of_gpt_9(prices) == (7_000_000 if switch == "on" else None)
