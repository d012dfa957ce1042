"""Recorded events through the fake proxy and the real collector, set against the raw JSON."""

import json
from collections import defaultdict
from datetime import datetime, timedelta, timezone

import pytest

SHANGHAI = timezone(timedelta(hours=8))
SEPARATE = {"gemini", "antigravity", "vertex"}

Sums = dict[object, tuple[int, ...]]


def parts(event: dict) -> tuple[int, int, int, int, int]:
    """Work out (input, cached, output, reasoning, total) from the raw JSON, by hand."""
    if breakdown := event.get("token_breakdown"):
        input, output = breakdown["input"], breakdown["output"]
        return (
            input["total_tokens"],
            input["cache_read_tokens"],
            output["total_tokens"],
            output["reasoning_tokens"],
            breakdown["total_tokens"],
        )
    raw = event["tokens"]
    input, output, cached = raw["input_tokens"], raw["output_tokens"], raw["cached_tokens"]
    if event["provider"] == "claude":
        cached = raw.get("cache_read_tokens", cached)
        input += cached + raw.get("cache_creation_tokens", 0)
    if event["provider"] in SEPARATE:
        output += raw["reasoning_tokens"]
    return input, cached, output, raw["reasoning_tokens"], input + output


def expected(payloads: list[bytes], key) -> Sums:
    """Sum (requests, failed, input, cached, output, reasoning, total) by a key."""
    sums: dict[object, list[int]] = defaultdict(lambda: [0] * 7)
    for payload in payloads:
        event = json.loads(payload)
        row = (1, int(event["failed"]), *parts(event))
        sums[key(event)] = [a + b for a, b in zip(sums[key(event)], row, strict=True)]
    return {name: tuple(row) for name, row in sums.items()}


def stored(home, key: str) -> Sums:
    """Sum the same in the ledger."""
    rows = home.query(
        f"""
        select
          {key},
          count(*), sum(failed), sum(input_tokens), sum(cached_tokens),
          sum(output_tokens), sum(reasoning_tokens), sum(total_tokens)
        from recent_requests
        group by 1
        """
    )
    return {row[0]: row[1:] for row in rows}


def local_hour(event: dict) -> str:
    """Return the local hour of an event."""
    at = datetime.fromisoformat(event["timestamp"]).astimezone(SHANGHAI)
    return f"{at:%Y-%m-%d %H:00}"


@pytest.mark.parametrize("source", ["resp", "http"])
def test_every_recorded_event_is_stored_with_its_own_tokens(home, proxy, all_recorded, source):
    proxy.push(all_recorded)
    home.use(proxy, LEDGER_USAGE_SOURCE=source, LEDGER_BATCH_SIZE="100")
    home.run("ingest", "--once")

    assert home.query(
        "select source, received, stored, duplicate, rejected from ingest_ledger"
    ) == [(source, 370, 370, 0, 0)]
    assert stored(home, "auth_index") == expected(all_recorded, lambda e: e["auth_index"])
    assert stored(home, "model") == expected(all_recorded, lambda e: e["model"])
    assert stored(home, "client") == expected(all_recorded, lambda e: f"…{e['api_key'][-4:]}")
    assert stored(home, "request_id") == expected(all_recorded, lambda e: e["request_id"])
    assert stored(home, "substr(local_time, 1, 13) || ':00'") == expected(all_recorded, local_hour)
    home.run("ledger", "check")


def test_both_sources_give_one_identity(home, proxy, all_recorded):
    for source in ("resp", "http"):
        proxy.push(all_recorded)
        home.use(proxy, LEDGER_USAGE_SOURCE=source)
        home.run("ingest", "--once")
    assert home.query("select source, stored, duplicate from ingest_ledger order by source") == [
        ("http", 0, 370),
        ("resp", 370, 0),
    ]


def test_an_account_is_never_keyed_by_its_address(home, proxy, all_recorded):
    proxy.push(all_recorded)
    home.use(proxy)
    home.run("ingest", "--once")
    rows = home.query(
        "select count(distinct account), count(distinct auth_index) from recent_requests "
        "where account like 'alice@example.com%'"
    )
    accounts = home.query("select count(*) from known_accounts where label = 'alice@example.com'")
    assert rows == [(4, 4)]
    assert accounts == [(4,)]


def test_an_invalid_record_is_stored_and_counted(home, proxy, all_recorded):
    garbage = [b"\xff\xfe", b"[]", b'{"timestamp": "yesterday"}', b"null", b'{"refresh":true}']
    proxy.push([*garbage, all_recorded[0], all_recorded[0]])
    home.use(proxy)
    home.run("ingest", "--once")
    assert home.query("select received, stored, duplicate, rejected from ingest_ledger") == [
        (7, 1, 1, 5)
    ]
    assert len(home.query("select reason from rejected_events")) == 5
    home.run("ledger", "check")
