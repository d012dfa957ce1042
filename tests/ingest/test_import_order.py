"""Each attempt counts once, whoever recorded it and in whatever order it is imported."""

import json
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.dimensions import Dimensions
from ingest.importers import run
from ingest.importers.detect import open_reader
from ingest.parse import parse
from ingest.spool import Batch
from ingest.store import EventWriter, Store
from ledger.data_folder import prepare
from ledger.integrity import check_all
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from runtime.proxies import find
from tests.support.import_files import WRITERS

FAMILIES = {"codex": "gpt-5.5", "claude": "claude-sonnet-4-5", "gemini-cli": "gemini-2.5-pro"}
NOW = 1_795_500_000_000


@st.composite
def attempts(draw: st.DrawFn) -> list[bytes]:
    """Return attempts within a few milliseconds, each with a different latency."""
    count = draw(st.integers(1, 8))
    return [attempt(draw, number) for number in range(count)]


def attempt(draw: st.DrawFn, number: int) -> bytes:
    """Return one attempt of an old proxy, without a breakdown of its tokens."""
    provider = draw(st.sampled_from(sorted(FAMILIES)))
    failed = draw(st.booleans())
    # More from the cache than was read at all contradicts itself, except with Claude.
    cached = draw(st.sampled_from([0, 90, 500]))
    tokens = {
        "input_tokens": 0 if failed else 100 + number,
        "output_tokens": 0 if failed else 20,
        "reasoning_tokens": 0 if failed else draw(st.integers(0, 5)),
        "cached_tokens": 0 if failed else cached,
        "total_tokens": 0 if failed else 120 + number,
    }
    moment = f"2026-11-24T08:00:00.00{draw(st.integers(0, 2))}{number:06}Z"
    return json.dumps(
        {
            "timestamp": moment,
            "latency_ms": 50 + number,
            "source": f"{provider}@example.com",
            "auth_index": f"{provider}-index",
            "tokens": tokens,
            "failed": failed,
            "provider": provider,
            "model": FAMILIES[provider],
            "alias": "",
            "endpoint": "POST /v1/responses",
            "auth_type": "oauth",
            "api_key": draw(st.sampled_from(["sk-test-client-a-0001", "sk-test-client-b-0002"])),
            "request_id": f"{number:08x}",
        }
    ).encode()


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[str, list[int]]]]:
    """Return attempts, and their records in the order of arrival."""
    raws = draw(attempts())
    seen = st.lists(st.sampled_from(range(len(raws))), unique=True)
    ways = st.sampled_from(["live", *WRITERS])
    return raws, draw(st.lists(st.tuples(ways, seen), min_size=1, max_size=6))


@settings(max_examples=60, deadline=None)
@given(histories())
def test_each_attempt_counts_once(history: tuple[list[bytes], list[tuple[str, list[int]]]]) -> None:
    raws, ways = history
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(prepare(folder / "data", timezone="UTC")) as conn:
            proxy_id = find(conn, "127.0.0.1:8317")
            live: set[int] = set()
            for number, (way, seen) in enumerate(ways):
                if way == "live":
                    # The queue never delivers an attempt twice.
                    new = [at for at in seen if at not in live]
                    live |= set(new)
                    collect(
                        conn,
                        folder,
                        proxy_id,
                        Batch(number + 1, "resp", NOW, [raws[at] for at in new]),
                    )
                else:
                    file = folder / str(number)
                    WRITERS[way](file, [raws[at] for at in seen])
                    if seen:
                        import_file(conn, folder, proxy_id, file)
            expected = Counter(
                best(raws[at], {way for way, seen in ways if at in seen})
                for at in {at for _, seen in ways for at in seen}
            )
            sql = (
                "select occurred_at, model, failed, input_tokens, cached_tokens, output_tokens,"
                " reasoning_tokens, unclassified_tokens, latency_ms from recent_requests"
            )
            assert Counter(conn.execute(sql).fetchall()) == expected
            assert [problem for _, problem in check_all(conn) if problem] == []


def best(raw: bytes, ways: set[str]) -> tuple[object, ...]:
    """Return what the ledger must have of an attempt: the best of its records."""
    usage = parse(raw)
    tokens, payload = usage.tokens, usage.payload
    # Of an unclassified total keeper keeps nothing.
    by_keeper = "keeper" in ways and not ways & {"live", "events", "original"}
    return (
        *(usage.occurred_at, payload.model, payload.failed, tokens.input, tokens.cached),
        *(tokens.output, tokens.reasoning, 0 if by_keeper else tokens.unclassified),
        payload.latency_ms,
    )


def collect(conn, folder: Path, proxy_id: int, batch: Batch) -> None:
    """Store a batch as the collector does."""
    store = Store(conn, proxy_id, load_salt(folder / "data"), Prices({}))
    store.write(batch, map(parse, batch.records))


def import_file(conn, folder: Path, proxy_id: int, path: Path) -> None:
    """Import a file as the command does."""
    providers = dict(conn.execute("select auth_index, provider from credentials"))
    with closing(open_reader(path, lambda: providers)) as file:
        row = {"file": path.name, "proxy_id": proxy_id, "started_at": NOW}
        import_id = run.begin(conn, file, row)
        dimensions = Dimensions(conn, proxy_id, load_salt(folder / "data"), shares_accounts=True)
        events = EventWriter(conn, dimensions, Prices({}), origin=file.origin, import_id=import_id)
        job = run.Import(import_id, conn, dimensions, events)
        run.run(job, file, on_progress=lambda _: None)
        run.finish(job, NOW + 1)
